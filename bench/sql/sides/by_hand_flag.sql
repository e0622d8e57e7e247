-- By hand with a search for every new name among the others, through the trigram index.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
UPDATE crm_deals.pipeline SET duplicate_policy = 'flag';

CREATE FUNCTION by_hand.flag_duplicates() RETURNS trigger LANGUAGE plpgsql SET pg_trgm.similarity_threshold = 0.85 AS $$
BEGIN
    INSERT INTO crm_deals.deal_duplicate (deal_id, other_deal_id, similarity)
    SELECT new.id, d.id, similarity(d.name, new.name)
    FROM crm_deals.pipeline AS p
    JOIN crm_deals.deal AS d ON d.name % new.name
    WHERE p.id = new.pipeline_id AND p.duplicate_policy = 'flag' AND d.id <> new.id
      AND d.organization IS NOT DISTINCT FROM new.organization AND similarity(d.name, new.name) >= p.duplicate_threshold
    ON CONFLICT DO NOTHING;    -- two rows of one statement see each other
    RETURN NULL;
END
$$;
CREATE TRIGGER flag_duplicates AFTER INSERT ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION by_hand.flag_duplicates();

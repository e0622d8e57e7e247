-- load_sample(): a small sales team to try things on. All days are relative to today, so that the forecast is alive.

-- What was sold to whom: the open stages that a deal reached, how it ended, and the days since it began and ended.
-- "due" is in how many days an open deal is expected.
-- access: owner
CREATE FUNCTION crm_deals_internal.sample_deals()
RETURNS TABLE (number bigint, pipeline text, customer integer, seller integer, product text, amount numeric,
               currency text, reached integer, ended text, began integer, over integer, due integer, source text,
               region text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT row_number() OVER (), v.*
    FROM (VALUES
        ('New business', 1, 1, 'Fleet licences', 48000, 'EUR', 4, NULL, 95, NULL, 12, 'referral', 'north'),
        ('New business', 1, 1, 'Fleet licence', 47500, 'EUR', 1, NULL, 6, NULL, 70, 'web', 'north'),
        ('New business', 2, 2, 'Warehouse rollout', 125000, 'EUR', 3, NULL, 70, NULL, 35, 'fair', 'south'),
        ('New business', 3, 3, 'Support contract', 18000, 'EUR', 2, NULL, 41, NULL, -4, 'web', 'west'),
        ('New business', 4, 4, 'Route planner', 32000, 'USD', 3, NULL, 55, NULL, 20, 'outbound', 'east'),
        ('New business', 5, 1, 'Onboarding', 9500, 'EUR', 1, NULL, 12, NULL, 48, 'web', 'north'),
        ('New business', 6, 2, 'Data migration', 22000, 'EUR', 2, NULL, 33, NULL, 27, 'referral', 'south'),
        ('New business', 7, 3, 'Pilot plant', 64000, 'EUR', 4, NULL, 120, NULL, 8, 'fair', 'west'),
        ('New business', 8, 4, 'Training week', 7200, 'EUR', 1, NULL, 3, NULL, NULL, 'web', 'east'),
        ('New business', 9, 1, 'Second site', 81000, 'USD', 3, NULL, 64, NULL, 60, 'referral', 'north'),
        ('New business', 10, 2, 'Dashboards', 15500, 'EUR', 2, NULL, 28, NULL, 41, 'outbound', 'south'),
        ('New business', 2, 2, 'Scanner fleet', 38000, 'EUR', 4, 'won', 150, 20, NULL, 'fair', 'south'),
        ('New business', 3, 3, 'Starter package', 12000, 'EUR', 4, 'won', 110, 45, NULL, 'web', 'west'),
        ('New business', 5, 1, 'Licences', 27000, 'EUR', 4, 'won', 200, 75, NULL, 'referral', 'north'),
        ('New business', 8, 4, 'Route planner', 41000, 'USD', 4, 'won', 180, 100, NULL, 'outbound', 'east'),
        ('New business', 7, 3, 'Feasibility study', 9000, 'EUR', 3, 'won', 90, 5, NULL, 'fair', 'west'),
        ('New business', 4, 4, 'Warehouse rollout', 95000, 'USD', 3, 'lost', 140, 30, NULL, 'outbound', 'east'),
        ('New business', 6, 2, 'Licences', 26000, 'EUR', 2, 'lost', 85, 50, NULL, 'web', 'south'),
        ('New business', 9, 1, 'Support contract', 14000, 'EUR', 1, 'lost', 60, 40, NULL, 'web', 'north'),
        ('New business', 10, 2, 'Pilot', 8000, 'EUR', 3, 'lost', 170, 95, NULL, 'fair', 'south'),
        ('Renewals', 2, 2, 'Renewal', 36000, 'EUR', 2, NULL, 30, NULL, 25, NULL, 'south'),
        ('Renewals', 3, 3, 'Renewal', 12000, 'EUR', 1, NULL, 10, NULL, 55, NULL, 'west'),
        ('Renewals', 5, 1, 'Renewal', 27000, 'EUR', 3, NULL, 45, NULL, 5, NULL, 'north'),
        ('Renewals', 8, 4, 'Renewal', 40000, 'USD', 3, 'won', 80, 15, NULL, NULL, 'east'),
        ('Renewals', 10, 2, 'Renewal', 6000, 'EUR', 2, 'lost', 75, 35, NULL, NULL, 'south'))
        AS v (pipeline, customer, seller, product, amount, currency, reached, ended, began, over, due, source, region)
$$;
COMMENT ON FUNCTION crm_deals_internal.sample_deals() IS
    'Internal: lists the deals of load_sample().';

-- access: owner
CREATE FUNCTION crm_deals_internal.check_no_deals() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM crm_deals.deal) OR EXISTS (SELECT FROM crm_deals.deal_event) THEN
        RAISE EXCEPTION 'the sample is for a database without deals'
            USING ERRCODE = '55000', DETAIL = 'There are deals, or the log knows of deals that there were.',
                  HINT = 'Load it into a database of its own.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_no_deals() IS
    'Internal: refuses to load the sample beside deals.';

-- Two pipelines with English and German labels, and what they refer to.
-- access: owner
CREATE FUNCTION crm_deals_internal.load_sample_settings(callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    renewals CONSTANT jsonb := '[
        {"key": "upcoming", "name": "Upcoming", "probability": 60, "labels": {"de": "Steht an"}},
        {"key": "contacted", "name": "Contacted", "probability": 70, "labels": {"de": "Kontaktiert"}},
        {"key": "quoted", "name": "Quoted", "probability": 85, "labels": {"de": "Angeboten"}, "rots_after": "14 days"},
        {"key": "renewed", "name": "Renewed", "status": "won", "labels": {"de": "Erneuert"}},
        {"key": "churned", "name": "Churned", "status": "lost", "labels": {"de": "Abgewandert"}}]';
    pipelines bigint[];
BEGIN
    pipelines := ARRAY[
        crm_deals_internal.create_pipeline('New business', NULL, NULL, 'EUR', NULL, NULL, NULL, callers_path),
        crm_deals_internal.create_pipeline('Renewals', renewals, NULL, 'EUR', NULL, NULL, NULL, callers_path)];
    INSERT INTO crm_deals.lost_reason (pipeline_id, name, labels)
    SELECT p.id, r.name, jsonb_build_object('de', r.german)
    FROM unnest(pipelines) AS p (id)
    CROSS JOIN (VALUES ('price', 'Preis'), ('competitor', 'Wettbewerber'), ('no budget', 'Kein Budget'))
        AS r (name, german);
    INSERT INTO crm_deals.custom_field (entity, key, label, labels, type, options)
    SELECT e.entity, 'region', 'Region', '{"de": "Region"}', 'select',
           (SELECT jsonb_agg(jsonb_build_object('value', o.value, 'labels', jsonb_build_object('de', o.german)))
            FROM (VALUES ('north', 'Nord'), ('south', crm_deals_internal.with_umlauts('S{ue}d')), ('east', 'Ost'),
                         ('west', 'West')) AS o (value, german))
    FROM unnest(ARRAY['deal', 'lead']) AS e (entity)
    ON CONFLICT DO NOTHING;
    INSERT INTO crm_deals.exchange_rate (currency, base, rate, valid_from)
    SELECT r.currency, 'EUR', r.rate, CURRENT_DATE - 365
    FROM (VALUES ('USD', 0.92), ('GBP', 1.17)) AS r (currency, rate)
    ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.load_sample_settings(text) IS
    'Internal: makes the pipelines, reasons, fields and rates of load_sample().';

-- Our own tables get customers and people. Into a table of the host's nothing is written: its first rows are taken.
-- access: owner
CREATE FUNCTION crm_deals_internal.load_sample_names(entity text, own text[]) RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    names text[];
BEGIN
    IF (SELECT h.host IS NULL OR h.host = to_regclass('crm_deals.' || entity)
        FROM crm_deals_internal.host(entity) AS h) THEN
        RETURN own;
    END IF;
    EXECUTE format('SELECT array_agg(v.label ORDER BY v.id)
                    FROM (SELECT v.id, v.label, count(*) OVER (PARTITION BY lower(btrim(v.label))) AS same
                          FROM crm_deals.%I AS v WHERE v.label IS NOT NULL ORDER BY v.id LIMIT 1000) AS v
                    WHERE v.same = 1', '_' || entity)
    INTO names;
    IF names IS NULL THEN
        RAISE NOTICE 'the deals of the sample have no %, since your table has no row with a name of its own', entity;
    END IF;
    RETURN names;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.load_sample_names(text, text[]) IS
    'Internal: returns the names of accounts or owners that the sample refers to.';

-- A deal entered its stages one after the other, the days between them alike.
-- access: owner
CREATE FUNCTION crm_deals_internal.load_sample_deals(callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    customers text[] := crm_deals_internal.load_sample_names('account', ARRAY[
        'Nordwind Logistics', 'Hanse Shipping', 'Alpen Dairy', 'Pacific Freight', 'Baltic Timber', 'Rhein Chemicals',
        'Solar Park Lausitz', 'Great Lakes Foods', 'Danube Textiles', 'City Clinics']);
    sellers text[] := crm_deals_internal.load_sample_names('owner', ARRAY['anna', 'ben', 'clara', 'david']);
    problems text;
BEGIN
    CREATE TEMPORARY TABLE crm_deals_sample_history ON COMMIT DROP AS
    SELECT format('S-%s', d.number) AS external_id, t.stage,
           (CURRENT_DATE - d.began + (t.step - 1) * (d.began - coalesce(d.over, 1)) / t.steps
            + time '10:00')::timestamptz
               AS entered_at,
           sellers[1 + d.seller % cardinality(sellers)] AS actor, t.step
    FROM crm_deals_internal.sample_deals() AS d
    CROSS JOIN LATERAL (SELECT s.key AS stage, row_number() OVER (ORDER BY s.position)::integer AS step,
                               greatest(count(*) OVER () - 1, 1)::integer AS steps
                        FROM crm_deals.stage AS s
                        JOIN crm_deals.pipeline AS p ON p.id = s.pipeline_id AND p.name = d.pipeline
                        WHERE s.status::text = d.ended
                           OR s.status = 'open' AND (SELECT count(*) FROM crm_deals.stage AS b
                                                     WHERE b.pipeline_id = s.pipeline_id AND b.position <= s.position)
                                                    <= d.reached) AS t;
    CREATE TEMPORARY TABLE crm_deals_sample ON COMMIT DROP AS
    SELECT format('S-%s', d.number) AS external_id, d.pipeline, last.stage, d.amount, d.currency, d.source,
           concat_ws(': ', customers[1 + (d.customer - 1) % cardinality(customers)], d.product) AS name,
           customers[1 + (d.customer - 1) % cardinality(customers)] AS account,
           sellers[1 + d.seller % cardinality(sellers)] AS owner, d.region AS "custom_fields.region",
           (CURRENT_DATE - d.began + time '10:00')::timestamptz AS created_at,
           CURRENT_DATE + d.due AS expected_close_date,
           CASE WHEN d.ended IS NOT NULL THEN last.entered_at END AS closed_at,
           CASE d.ended WHEN 'lost' THEN (ARRAY['price', 'competitor', 'no budget'])[1 + d.number % 3] END
               AS lost_reason
    FROM crm_deals_internal.sample_deals() AS d
    CROSS JOIN LATERAL (SELECT h.stage, h.entered_at
                        FROM pg_temp.crm_deals_sample_history AS h
                        WHERE h.external_id = format('S-%s', d.number)
                        ORDER BY h.step DESC
                        LIMIT 1) AS last;
    ALTER TABLE pg_temp.crm_deals_sample_history DROP COLUMN step;

    -- The end of this function sets the path back.
    PERFORM set_config('search_path', callers_path, true);
    SELECT pg_catalog.string_agg(pg_catalog.concat_ws(': ', i.external_id, i.outcome, i.detail), pg_catalog.chr(10))
           FILTER (WHERE i.deal_id IS NULL)
    INTO problems
    FROM crm_deals_internal.call_import_deals('pg_temp.crm_deals_sample', 'pg_temp.crm_deals_sample_history', false,
                                              true, NULL, NULL, NULL, false, NULL, NULL, NULL) AS i;
    IF problems IS NOT NULL THEN
        RAISE EXCEPTION 'the deals of the sample cannot be written' USING ERRCODE = '55000', DETAIL = problems;
    END IF;
    DROP TABLE pg_temp.crm_deals_sample, pg_temp.crm_deals_sample_history;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.load_sample_deals(text) IS
    'Internal: imports the deals of load_sample(), with their history.';

-- One person for each account that has deals. A table of people of the host's stays as it is.
-- access: owner
CREATE FUNCTION crm_deals_internal.load_sample_contacts(callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (SELECT h.host IS DISTINCT FROM to_regclass('crm_deals.contact')
        FROM crm_deals_internal.host('contact') AS h) THEN
        RAISE NOTICE 'the sample has no contacts, since they stand in a table of yours';
        RETURN;
    END IF;
    PERFORM crm_deals_internal.write_as_caller(callers_path, $write$
        INSERT INTO crm_deals.contact (account_id, first_name, last_name, email)
        SELECT a.id, v.first, v.last, lower(format('%s.%s@customer%s.example', v.first, v.last, a.place))
        FROM (SELECT d.account_id AS id, row_number() OVER (ORDER BY min(d.id)) AS place
              FROM crm_deals.deal AS d WHERE d.account_id IS NOT NULL GROUP BY d.account_id) AS a
        JOIN unnest($1, ARRAY['Berg', 'Khan', 'Silva', 'Novak', 'Jensen', 'Rossi', 'Dubois', 'Kowalski', 'Sato',
                              'Moore'])
             WITH ORDINALITY AS v (first, last, place) ON v.place = a.place
        $write$, ARRAY['Ada', 'Imran', 'Rita', 'Petr', 'Lars', 'Giulia', 'Marc', 'Ewa', 'Yuki', 'Grace']);
    PERFORM crm_deals_internal.write_as_caller(callers_path, $write$
        INSERT INTO crm_deals.deal_contact (deal_id, contact_id, role)
        SELECT d.id, c.id, $1 FROM crm_deals.deal AS d JOIN crm_deals.contact AS c ON c.account_id = d.account_id
        $write$, 'decision maker'::text);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.load_sample_contacts(text) IS
    'Internal: writes the contacts of load_sample(), and makes them stakeholders.';

-- What is to be won in the quarter of today and in the one before: by each seller, and by the team in each pipeline.
-- All are of a pipeline, since those without one would add to them.
-- access: owner
CREATE FUNCTION crm_deals_internal.load_sample_targets() RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO crm_deals.target (pipeline_id, owner, starts_on, ends_on, currency, amount)
    SELECT p.id, t.owner, q.day, (q.day + interval '3 months')::date - 1, 'EUR', t.amount
    FROM (SELECT date_trunc('quarter', CURRENT_DATE - n * interval '3 months')::date AS day
          FROM generate_series(0, 1) AS n) AS q
    CROSS JOIN (SELECT DISTINCT 'New business', d.owner, 30000 FROM crm_deals.deal AS d WHERE d.owner IS NOT NULL
                UNION ALL
                SELECT 'New business', NULL, 100000
                UNION ALL
                SELECT 'Renewals', NULL, 50000) AS t (pipeline, owner, amount)
    JOIN crm_deals.pipeline AS p ON p.name = t.pipeline AND p.organization IS NULL
$$;
COMMENT ON FUNCTION crm_deals_internal.load_sample_targets() IS
    'Internal: writes the targets of load_sample().';

-- What was said and what is to be done, on the open deals; and leads that nobody has converted yet.
-- access: owner
CREATE FUNCTION crm_deals_internal.load_sample_activities(callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM crm_deals_internal.write_as_caller(callers_path, $write$
        INSERT INTO crm_deals.activity (kind, subject, body, occurred_at, due_at, actor, assignee, deal_id)
        SELECT v.kind, v.subject, v.body, v.day + time '11:00', v.due + time '09:00', d.owner::text, d.owner, d.id
        FROM crm_deals.deal AS d
        CROSS JOIN LATERAL (VALUES
            ('email', 'Our offer', 'Please find our offer attached.', d.stage_entered_at::date, NULL::date, 1),
            ('call', 'First call', 'They want to decide this quarter.', d.created_at::date, NULL, 1),
            ('task', 'Ask for the decision', NULL, CURRENT_DATE - 3, CURRENT_DATE - 1, 4),
            ('task', 'Send the contract', NULL, CURRENT_DATE - 1, CURRENT_DATE + 3, 3),
            ('meeting', 'Demo', NULL, CURRENT_DATE - 2, CURRENT_DATE + 7, 5))
            AS v (kind, subject, body, day, due, every)
        WHERE d.status::text = $1 AND d.id % v.every = 0
        $write$, 'open'::text);
    PERFORM crm_deals_internal.write_as_caller(callers_path, $write$
        INSERT INTO crm_deals.lead (company_name, first_name, last_name, email, phone, status, source, custom_fields)
        SELECT v.company, v.first, v.last, lower(format('%s.%s@%s.example', v.first, v.last, v.domain)), v.phone,
               v.status, v.source, jsonb_build_object('region', v.region)
        FROM (VALUES ('Nordwind Logistics', 'Ida', 'Brandt', 'nordwind', '+49 40 1', 'qualified', 'web', 'north'),
                     ('Museum of Clocks', 'Omar', 'Haddad', 'clocks', NULL, 'new', 'fair', 'west'),
                     ('Hanse Shipping', 'Jens', 'Petersen', 'hanse', '+49 421 2', 'working', 'referral', 'south'),
                     (NULL, 'Lucia', 'Moretti', 'moretti', '+39 2 3', 'new', 'web', 'east'))
             AS v (company, first, last, domain, phone, status, source, region)
        WHERE v.status <> $1
        $write$, 'converted'::text);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.load_sample_activities(text) IS
    'Internal: writes the activities and the leads of load_sample().';

-- access: owner
CREATE FUNCTION crm_deals_internal.load_sample(callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
BEGIN
    PERFORM crm_deals_internal.check_installed();
    PERFORM crm_deals_internal.check_no_deals();
    PERFORM crm_deals_internal.load_sample_settings(callers_path);
    PERFORM crm_deals_internal.load_sample_deals(callers_path);
    PERFORM crm_deals_internal.load_sample_targets();
    PERFORM crm_deals_internal.load_sample_contacts(callers_path);
    PERFORM crm_deals_internal.load_sample_activities(callers_path);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.load_sample(text) IS
    'Internal: what crm_deals.load_sample() does.';

-- What of the user's stands in the way of the tables of 0.2.0, a sentence each.
SELECT format('%s exists, and 0.2.0 adds one of that name.', pg_describe_object('pg_class'::regclass, c.oid, 0))
FROM (VALUES ('log_format'::text), ('target'), ('target_of'), ('target_pipeline'), ('target_owner'),
             ('open_task'), ('_next_activity'), ('deal_merge'),
             ('activity_open_of_assignee'), ('activity_open_of_deal')) AS added (name)
JOIN pg_class AS c ON c.relname = added.name
WHERE c.relnamespace = 'crm_deals'::regnamespace
UNION ALL
SELECT format('%s exists, and 0.2.0 adds one of that name.',
              pg_describe_object('pg_class'::regclass, a.attrelid, a.attnum))
FROM (VALUES ('event_consumer', 'subscribed_by'), ('activity', 'assignee')) AS added (relation, name)
JOIN pg_attribute AS a ON a.attname = added.name AND NOT a.attisdropped
WHERE a.attrelid = to_regclass('crm_deals.' || added.relation)

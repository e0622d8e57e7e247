# What the TAP tests share: a server with crm_deals, and a proof of the rules that knows the contract, not the code.
package CrmDeals;
use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(start_server install proof value rows fails_with sqlstate_of);

sub start_server
{
	my ($name, @settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
	$node->append_conf('postgresql.conf', "$_\n")
	  for 'jit = off', 'fsync = off', 'autovacuum = off', 'max_prepared_transactions = 5', @settings;
	$node->start;
	return $node;
}

sub install
{
	my ($node, $database) = @_;

	$node->safe_psql($database // 'postgres',
		'CREATE EXTENSION crm_deals CASCADE; SELECT crm_deals.install();');
	return;
}

# The answer of a query, as psql -At gives it.
sub value
{
	my ($node, $sql, %options) = @_;
	my $database = delete $options{database} // 'postgres';

	return $node->safe_psql($database, $sql, %options);
}

sub rows
{
	return split /\n/, value(@_);
}

# The SQLSTATE that a statement fails with, '00000' where it succeeds.
sub sqlstate_of
{
	my ($node, $sql, %options) = @_;
	my $database = delete $options{database} // 'postgres';
	my ($status, $stdout, $stderr) =
	  $node->psql($database, "\\set VERBOSITY sqlstate\n$sql", %options);

	return '00000' if $status == 0;
	return $stderr =~ /(?:ERROR|FATAL):\s+(\w{5})$/m ? $1 : "status $status: $stderr";
}

sub fails_with
{
	my ($node, $state, $sql, $name, %options) = @_;

	return Test::More::is(sqlstate_of($node, $sql, %options), $state, $name);
}

# Schema proof: the rules of section 4 of the contract, and the log folded into rows.
#
#   proof.check(judge)  what is wrong with the data, and with the events since the last call: a line each. With
#                       judge false the gates are not judged again, where the statement itself changed the stages.
#   proof.replayed      the deals as the log has them: deal_id, version, row (jsonb without NULLs; NULL: deleted)
sub proof
{
	return <<'SQL';
CREATE SCHEMA proof;
CREATE TABLE proof.replayed (deal_id bigint PRIMARY KEY, version integer NOT NULL, "row" jsonb);
CREATE TABLE proof.progress (last_event bigint NOT NULL);
INSERT INTO proof.progress VALUES (0);
CREATE TABLE proof.ignored ("column" text PRIMARY KEY);    -- that the log cannot tell of: added with a default, dropped

CREATE FUNCTION proof.without_nulls(value jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$ SELECT coalesce(jsonb_object_agg(e.key, e.value), '{}') FROM jsonb_each(value) AS e WHERE e.value <> 'null' $$;

-- One event on top of the row before it; raises where the event's old values are not the row's.
CREATE FUNCTION proof.apply(before jsonb, event crm_deals.deal_event) RETURNS jsonb LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
DECLARE
    change record;
    field text;
    was jsonb;
    result jsonb := coalesce(before, '{"custom_fields": {}}');
BEGIN
    FOR change IN SELECT c.key, c.value -> 0 AS old, c.value -> 1 AS new FROM jsonb_each(event.changes) AS c
                  WHERE c.key NOT IN (SELECT "column" FROM proof.ignored) LOOP
        IF change.key LIKE 'custom\_fields.%' THEN
            field := substr(change.key, 15);
            was := coalesce(result -> 'custom_fields' -> field, 'null');
            result := jsonb_set(result, '{custom_fields}', CASE WHEN change.new = 'null'
                THEN (result -> 'custom_fields') - field
                ELSE (result -> 'custom_fields') || jsonb_build_object(field, change.new) END);
        ELSE
            was := CASE WHEN before IS NULL THEN 'null' ELSE coalesce(result -> change.key, 'null') END;
            result := CASE WHEN change.new = 'null' THEN result - change.key
                           ELSE result || jsonb_build_object(change.key, change.new) END;
        END IF;
        IF was <> change.old THEN
            RAISE EXCEPTION 'deal %, version %: "%" was %, the event says %',
                event.deal_id, event.version, change.key, was, change.old;
        END IF;
    END LOOP;
    RETURN result || jsonb_build_object('version', event.version, 'updated_at', event.occurred_at);
END $$;

CREATE FUNCTION proof.present(deal jsonb, field text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE coalesce(jsonb_typeof(v.value), 'null') WHEN 'null' THEN false
                                                        WHEN 'string' THEN (v.value #>> '{}') ~ '\S'
                                                        WHEN 'array' THEN v.value <> '[]'
                                                        WHEN 'object' THEN v.value <> '{}'
                                                        ELSE true END
    FROM (SELECT CASE WHEN field LIKE 'custom\_fields.%' THEN deal -> 'custom_fields' -> substr(field, 15)
                      ELSE deal -> field END) AS v (value)
$$;

-- Rule 5, from the words of the contract: what entering the stage breaks. was_in: the last open stage the deal was in.
CREATE FUNCTION proof.gates_broken(event crm_deals.deal_event, deal jsonb, was_in bigint) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    p crm_deals.pipeline;
    f crm_deals.stage;
    t crm_deals.stage;
    w crm_deals.stage;
    next_open integer;
    first_open integer;
    last_open integer;
    wanted text[];
    broken text[] := '{}';
BEGIN
    IF event.from_stage_id IS NOT DISTINCT FROM event.to_stage_id THEN
        RETURN broken;
    END IF;
    SELECT * INTO t FROM crm_deals.stage WHERE id = event.to_stage_id;
    SELECT * INTO p FROM crm_deals.pipeline WHERE id = t.pipeline_id;
    SELECT * INTO f FROM crm_deals.stage WHERE id = event.from_stage_id AND pipeline_id = t.pipeline_id;
    SELECT * INTO w FROM crm_deals.stage WHERE id = was_in AND pipeline_id = t.pipeline_id;
    SELECT min(position), max(position), min(position) FILTER (WHERE position > f.position)
    INTO first_open, last_open, next_open
    FROM crm_deals.stage WHERE pipeline_id = p.id AND status = 'open' AND archived_at IS NULL;

    IF p.forbid_skipping
       AND (CASE
                WHEN f.id IS NULL THEN t.position <> first_open
                WHEN t.status = 'won' AND f.status <> 'won' THEN coalesce(w.position < last_open, last_open IS NOT NULL)
                WHEN t.status = 'open' AND f.status = 'open' THEN t.position > f.position AND t.position <> next_open
                WHEN t.status = 'open' THEN t.position > coalesce(w.position, first_open)
            END) THEN
        broken := broken || 'forbid_skipping'::text;
    END IF;
    IF p.forbid_backward AND t.status = 'open' AND (f.status <> 'open' OR t.position < f.position) THEN
        broken := broken || 'forbid_backward'::text;
    END IF;
    IF p.forbid_unlisted AND t.status IN ('open', 'won')
       AND NOT EXISTS (SELECT FROM crm_deals.stage_transition AS m
                       WHERE m.to_stage_id = t.id AND m.from_stage_id IS NOT DISTINCT FROM f.id)
       AND NOT (f.id IS NULL AND t.position IS NOT DISTINCT FROM first_open    -- NULL: no open stage, no start
                AND NOT EXISTS (SELECT FROM crm_deals.stage_transition AS m
                                JOIN crm_deals.stage AS s ON s.id = m.to_stage_id
                                WHERE m.from_stage_id IS NULL AND s.pipeline_id = p.id
                                  AND s.archived_at IS NULL AND s.status IN ('open', 'won')))
           THEN    -- a start that is one
        broken := broken || 'forbid_unlisted'::text;
    END IF;
    SELECT array_agg(DISTINCT r.field) INTO wanted
    FROM crm_deals.stage AS s, unnest(s.required_fields) AS r (field)
    WHERE s.id = t.id
       OR t.status IN ('open', 'won') AND s.pipeline_id = t.pipeline_id AND s.status = 'open'
          AND s.archived_at IS NULL AND s.position < t.position;
    IF EXISTS (SELECT FROM unnest(wanted) AS u (field) WHERE NOT proof.present(deal, u.field)) THEN
        broken := broken || 'required_fields'::text;
    END IF;
    IF t.archived_at IS NOT NULL OR (f.id IS NULL AND NOT p.is_active) THEN
        broken := broken || 'shut'::text;    -- never to be bypassed
    END IF;
    RETURN broken;
END $$;

CREATE FUNCTION proof.lost_reason_holds(pipeline bigint, reason text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN reason !~ '\S' OR reason IS NULL THEN NOT p.lost_reason_required
                ELSE reason = ANY (r.names) OR r.names IS NULL END
    FROM crm_deals.pipeline AS p,
         LATERAL (SELECT array_agg(name) AS names FROM crm_deals.lost_reason WHERE pipeline_id = p.id AND is_active)
             AS r
    WHERE p.id = pipeline
$$;

CREATE FUNCTION proof.check(judge boolean DEFAULT true) RETURNS SETOF text LANGUAGE plpgsql
SET timezone = 'UTC' AS $$
DECLARE
    event crm_deals.deal_event;
    before proof.replayed;
    after jsonb;
    was_in bigint;
    broken text[];
    kind text;
BEGIN
    FOR event IN SELECT e.* FROM crm_deals.deal_event AS e
                 WHERE e.id > (SELECT last_event FROM proof.progress) ORDER BY e.deal_id, e.version LOOP
        before := NULL;
        SELECT * INTO before FROM proof.replayed AS r WHERE r.deal_id = event.deal_id;
        IF event.version <> coalesce(before.version, 0) + 1 THEN
            RETURN NEXT format('rule 7: deal %s has version %s after %s', event.deal_id, event.version, before.version);
        END IF;
        IF event.occurred_at <= (before."row" ->> 'updated_at')::timestamptz THEN
            RETURN NEXT format('deal %s, version %s is not later than the one before', event.deal_id, event.version);
        END IF;
        IF (event.from_stage_id, event.from_status::text) IS DISTINCT FROM
           ((before."row" ->> 'stage_id')::bigint, before."row" ->> 'status') THEN
            RETURN NEXT format('deal %s, version %s comes from %s %s', event.deal_id, event.version,
                               event.from_stage_id, event.from_status);
        END IF;
        after := proof.apply(before."row", event);
        kind := CASE WHEN event.to_stage_id IS NULL THEN 'deleted'
                     WHEN event.from_stage_id IS NULL THEN 'created'
                     WHEN event.status <> event.from_status
                              THEN CASE event.status WHEN 'open' THEN 'reopened' ELSE event.status::text END
                     WHEN event.to_stage_id <> event.from_stage_id THEN 'stage_changed'
                     ELSE 'updated' END;
        IF event.kind <> kind THEN
            RETURN NEXT format('deal %s, version %s is of kind %s, not %s', event.deal_id, event.version, kind,
                               event.kind);
        END IF;

        IF kind = 'deleted' THEN
            IF after - 'custom_fields' - 'version' - 'updated_at' <> '{}' OR after -> 'custom_fields' <> '{}' THEN
                RETURN NEXT format('deal %s is deleted, its event leaves %s', event.deal_id, after);
            END IF;
            after := NULL;
        ELSE
            IF (event.to_stage_id, event.pipeline_id, event.status::text, event.amount, event.currency,
                event.probability,
                event.expected_close_date, event.owner, event.lost_reason, event.occurred_at) IS DISTINCT FROM
               ((after ->> 'stage_id')::bigint, (after ->> 'pipeline_id')::bigint, after ->> 'status',
                (after ->> 'amount')::numeric, after ->> 'currency', (after ->> 'probability')::numeric,
                (after ->> 'expected_close_date')::date, after ->> 'owner', after ->> 'lost_reason',
                (after ->> 'updated_at')::timestamptz) THEN
                RETURN NEXT format('deal %s, version %s: the tracked values are not those of %s', event.deal_id,
                                   event.version, after);
            END IF;
            IF kind <> 'created' AND (after -> 'id', after -> 'created_at') IS DISTINCT FROM
                                     (before."row" -> 'id', before."row" -> 'created_at') THEN
                RETURN NEXT format('rule 7: deal %s has another id or created_at', event.deal_id);
            END IF;
            -- rule 2: a stamp that is not given is the event's, and stays while the status does; a value that an UPDATE
            -- leaves as it was is not given
            IF event.status = event.from_status AND (after ->> 'closed_at')::timestamptz = event.occurred_at THEN
                RETURN NEXT format('rule 2: deal %s was stamped anew', event.deal_id);
            END IF;
            IF event.status <> event.from_status AND after -> 'closed_at' = before."row" -> 'closed_at' THEN
                RETURN NEXT format('rule 2: deal %s was not stamped anew', event.deal_id);
            END IF;
            -- rule 3: closing ends an override
            IF event.status <> event.from_status AND before."row" -> 'probability_overridden' = 'true'
               AND after -> 'probability_overridden' = 'true'
               AND after -> 'probability' = before."row" -> 'probability' THEN
                RETURN NEXT format('rule 3: deal %s has kept its override', event.deal_id);
            END IF;
            IF event.status <> 'open' AND (after -> 'probability_overridden' = 'true'
                                           OR event.probability <> CASE event.status WHEN 'won' THEN 100 ELSE 0 END) THEN
                RETURN NEXT format('rule 3: deal %s is %s with %s per cent', event.deal_id, event.status,
                                   event.probability);
            END IF;
            IF event.to_stage_id IS DISTINCT FROM event.from_stage_id AND kind <> 'created'
               AND (after ->> 'stage_entered_at')::timestamptz <> event.occurred_at THEN
                RETURN NEXT format('deal %s entered its stage at %s, not %s', event.deal_id, event.occurred_at,
                                   after ->> 'stage_entered_at');
            END IF;
            IF judge THEN
                SELECT e.to_stage_id INTO was_in FROM crm_deals.deal_event AS e
                WHERE e.deal_id = event.deal_id AND e.version < event.version AND e.status = 'open'
                ORDER BY e.version DESC LIMIT 1;
                -- a closed deal that keeps its status is asked nothing
                broken := CASE WHEN event.status = event.from_status AND event.status <> 'open' THEN '{}'
                               ELSE proof.gates_broken(event, after, was_in) END;
                IF broken <> coalesce(event.bypassed, '{}') AND
                   (event.bypassed IS NULL OR NOT broken <@ event.bypassed OR NOT broken @> event.bypassed) THEN
                    RETURN NEXT format('rule 5: deal %s, version %s breaks %s, bypassed says %s (from %s to %s, '
                                       'was in %s)',
                                       event.deal_id, event.version, broken, event.bypassed, event.from_stage_id,
                                       event.to_stage_id, was_in);
                END IF;
                IF event.status = 'lost' AND (event.from_status IS DISTINCT FROM 'lost' OR event.changes ? 'lost_reason')
                   AND NOT proof.lost_reason_holds(event.pipeline_id, event.lost_reason) THEN
                    RETURN NEXT format('rule 4: deal %s, version %s is lost for "%s"', event.deal_id, event.version,
                                       event.lost_reason);
                END IF;
            END IF;
        END IF;
        INSERT INTO proof.replayed VALUES (event.deal_id, event.version, after)
        ON CONFLICT (deal_id) DO UPDATE SET version = excluded.version, "row" = excluded."row";
    END LOOP;
    UPDATE proof.progress
    SET last_event = greatest(last_event, (SELECT id FROM crm_deals.deal_event ORDER BY id DESC LIMIT 1));

    RETURN QUERY
    SELECT format('rule 1: deal %s is %s in pipeline %s of %s, its stage %s in %s of %s', d.id, d.status, d.pipeline_id,
                  d.organization, s.status, s.pipeline_id, p.organization)
    FROM crm_deals.deal AS d LEFT JOIN crm_deals.stage AS s ON s.id = d.stage_id
    LEFT JOIN crm_deals.pipeline AS p ON p.id = s.pipeline_id
    WHERE (d.status, d.pipeline_id, d.organization) IS DISTINCT FROM (s.status, s.pipeline_id, p.organization)
    UNION ALL
    SELECT format('rule 2: deal %s is %s, closed_at %s', d.id, d.status, d.closed_at)
    FROM crm_deals.deal AS d WHERE (d.status = 'open') <> (d.closed_at IS NULL)
    UNION ALL
    SELECT format('rule 3: deal %s has %s, its stage %s, override %s', d.id, d.probability, s.probability,
                  d.probability_overridden)
    FROM crm_deals.deal AS d JOIN crm_deals.stage AS s ON s.id = d.stage_id
    WHERE NOT d.probability_overridden AND d.probability <> s.probability
    UNION ALL
    SELECT format('rule 4: deal %s is %s, with the reason %s', d.id, d.status, d.lost_reason)
    FROM crm_deals.deal AS d WHERE d.status <> 'lost' AND d.lost_reason IS NOT NULL
    UNION ALL
    SELECT format('rule 6, 7: deal %s is %s, the log makes it %s', coalesce(d.id, r.deal_id),
                  proof.without_nulls(to_jsonb(d)), r."row")
    FROM crm_deals.deal AS d
    FULL JOIN (SELECT * FROM proof.replayed WHERE "row" IS NOT NULL) AS r ON r.deal_id = d.id
    WHERE proof.without_nulls(to_jsonb(d)) - ARRAY(SELECT "column" FROM proof.ignored) IS DISTINCT FROM r."row";
END $$;
SQL
}

1;


SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

CREATE SCHEMA crm_deals;

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;

COMMENT ON EXTENSION pg_trgm IS 'text similarity measurement and index searching based on trigrams';

CREATE EXTENSION IF NOT EXISTS crm_deals WITH SCHEMA crm_deals;

COMMENT ON EXTENSION crm_deals IS 'CRM deals with the rules of the sales process kept by the database';

CREATE TYPE crm_deals.deal_status AS ENUM (
    'open',
    'won',
    'lost',
    'abandoned'
);

CREATE TYPE public.mood AS ENUM (
    'good',
    'bad'
);

CREATE DOMAIN public.percent AS numeric
	CONSTRAINT percent_check CHECK (((VALUE >= (0)::numeric) AND (VALUE <= (100)::numeric)));

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE crm_deals.deal (
    id bigint NOT NULL,
    organization text,
    name text NOT NULL,
    account_id uuid,
    primary_contact_id integer,
    pipeline_id bigint NOT NULL,
    amount numeric,
    currency text NOT NULL,
    expected_close_date date,
    owner text,
    source text,
    notes text,
    custom_fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    external_id text,
    created_at timestamp with time zone NOT NULL,
    stage_id bigint NOT NULL,
    status crm_deals.deal_status NOT NULL,
    probability numeric NOT NULL,
    probability_overridden boolean DEFAULT false NOT NULL,
    closed_at timestamp with time zone,
    lost_reason text,
    version integer DEFAULT 1 NOT NULL,
    last_open_stage_id bigint,
    stage_entered_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    campaign_id integer,
    tags text[] DEFAULT '{new}'::text[],
    "Mixed Case" numeric(10,2),
    mood public.mood DEFAULT 'good'::public.mood NOT NULL,
    share public.percent,
    title text COLLATE pg_catalog."C",
    doubled numeric GENERATED ALWAYS AS ((amount * (2)::numeric)) STORED,
    CONSTRAINT "My check" CHECK (("Mixed Case" > (0)::numeric)),
    CONSTRAINT deal_amount CHECK ((amount <@ '[0,Infinity)'::numrange)),
    CONSTRAINT deal_closed_at CHECK ((((status = 'open'::crm_deals.deal_status) = (closed_at IS NULL)) AND (isfinite(closed_at) IS NOT FALSE))),
    CONSTRAINT deal_created_at CHECK (isfinite(created_at)),
    CONSTRAINT deal_currency CHECK ((currency ~~ '___'::text)),
    CONSTRAINT deal_custom_fields CHECK ((custom_fields @> '{}'::jsonb)),
    CONSTRAINT deal_expected_close_date CHECK (isfinite(expected_close_date)),
    CONSTRAINT deal_lost_reason CHECK (((lost_reason IS NULL) OR (status = 'lost'::crm_deals.deal_status))),
    CONSTRAINT deal_name CHECK ((name ~ '[^ \t\r\n]'::text)),
    CONSTRAINT deal_probability CHECK ((probability <@ '[0,100]'::numrange)),
    CONSTRAINT deal_stage_entered_at CHECK (isfinite(stage_entered_at))
)
WITH (autovacuum_vacuum_scale_factor='0.05', autovacuum_analyze_scale_factor='0.05', fillfactor='80');
ALTER TABLE ONLY crm_deals.deal ALTER COLUMN owner SET STATISTICS 500;
ALTER TABLE ONLY crm_deals.deal ALTER COLUMN title SET STORAGE EXTERNAL;

COMMENT ON COLUMN crm_deals.deal.source IS 'our list of sources is in the wiki';

COMMENT ON COLUMN crm_deals.deal.campaign_id IS 'where it came from';

CREATE FUNCTION public.deals_of(wanted text) RETURNS SETOF crm_deals.deal
    LANGUAGE sql STABLE
    AS $$SELECT d.* FROM crm_deals.deal AS d WHERE d.source = wanted$$;

CREATE FUNCTION public.nothing() RETURNS trigger
    LANGUAGE plpgsql
    AS $$BEGIN RETURN NULL; END$$;

CREATE FUNCTION public.shout() RETURNS trigger
    LANGUAGE plpgsql
    AS $$BEGIN new.title := upper(new.title); RETURN new; END$$;

CREATE TABLE public.customer (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    company text NOT NULL,
    keeper text,
    more jsonb
);

CREATE VIEW crm_deals._account WITH (security_invoker='true') AS
 SELECT t.id,
    NULLIF(concat_ws(' '::text, t.company), ''::text) AS label
   FROM public.customer t;

CREATE TABLE public.person (
    id integer NOT NULL,
    customer uuid,
    given text,
    family text,
    mail text
);

CREATE VIEW crm_deals._contact WITH (security_invoker='true') AS
 SELECT t.id,
    NULLIF(concat_ws(' '::text, t.given, t.family), ''::text) AS label
   FROM public.person t;

CREATE TABLE public.employee (
    login text NOT NULL,
    full_name text,
    mail text
);

CREATE VIEW crm_deals._owner WITH (security_invoker='true') AS
 SELECT t.login AS id,
    NULLIF(concat_ws(' '::text, t.full_name), ''::text) AS label
   FROM public.employee t;

CREATE TABLE crm_deals.activity (
    id bigint NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    body text,
    occurred_at timestamp with time zone DEFAULT now() NOT NULL,
    due_at timestamp with time zone,
    done_at timestamp with time zone,
    actor text,
    deal_id bigint,
    account_id uuid,
    contact_id integer,
    lead_id bigint,
    place text,
    CONSTRAINT activity_kind CHECK ((kind = ANY (ARRAY['meeting'::text, 'email'::text, 'note'::text, 'call'::text, 'task'::text, 'event'::text])))
);

ALTER TABLE crm_deals.activity ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME crm_deals.activity_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE crm_deals.event_consumer (
    consumer text NOT NULL,
    kinds text[],
    include_imports boolean DEFAULT false NOT NULL,
    subscribed_at timestamp with time zone DEFAULT now() NOT NULL,
    last_acked_at timestamp with time zone,
    seen pg_snapshot DEFAULT pg_current_snapshot() NOT NULL,
    seen_id bigint DEFAULT 0 NOT NULL,
    upto pg_snapshot,
    upto_id bigint,
    delivered_id bigint DEFAULT 0 NOT NULL,
    unacked bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    leased integer DEFAULT 0 NOT NULL,
    leased_until timestamp with time zone,
    contact_person text,
    CONSTRAINT event_consumer_cut CHECK (((upto IS NULL) = (upto_id IS NULL))),
    CONSTRAINT event_consumer_name CHECK ((btrim(consumer, ' 	
'::text) <> ''::text))
)
WITH (fillfactor='50');

CREATE VIEW crm_deals.consumer_status WITH (security_invoker='true') AS
 SELECT c.consumer,
    p.events AS pending,
    p.oldest AS oldest_pending_at,
    c.last_acked_at
   FROM (crm_deals.event_consumer c
     CROSS JOIN LATERAL ( SELECT count(*) AS events,
            min(w.occurred_at) AS oldest
           FROM crm_deals._pending(c.consumer) w(id, occurred_at)) p)
  WHERE (c.consumer <> crm_deals._dispatcher());

CREATE TABLE crm_deals.custom_field (
    id bigint NOT NULL,
    organization text,
    entity text NOT NULL,
    key text NOT NULL,
    label text,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    type text NOT NULL,
    options jsonb,
    required boolean DEFAULT false NOT NULL,
    CONSTRAINT custom_field_entity CHECK ((entity = ANY (ARRAY['deal'::text, 'lead'::text, 'account'::text, 'contact'::text]))),
    CONSTRAINT custom_field_has_options CHECK (((type <> ALL (ARRAY['select'::text, 'multiselect'::text])) OR (options IS NOT NULL))),
    CONSTRAINT custom_field_key CHECK ((btrim(key, ' 	
'::text) <> ''::text)),
    CONSTRAINT custom_field_labels CHECK ((jsonb_typeof(labels) = 'object'::text)),
    CONSTRAINT custom_field_options CHECK (((jsonb_typeof(options) = 'array'::text) AND (NOT jsonb_path_exists(options, '$[*]?(@.type() != "string" && !(@."value".type() == "string"))'::jsonpath)) AND (NOT jsonb_path_exists(options, 'strict $[*]?(@.type() == "array")'::jsonpath, silent => true)))),
    CONSTRAINT custom_field_type CHECK ((type = ANY (ARRAY['text'::text, 'number'::text, 'boolean'::text, 'date'::text, 'select'::text, 'multiselect'::text])))
);

ALTER TABLE crm_deals.custom_field ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME crm_deals.custom_field_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE crm_deals.deal_alias (
    old_id bigint NOT NULL,
    old_external_id text,
    deal_id bigint NOT NULL
);

CREATE TABLE crm_deals.deal_contact (
    deal_id bigint NOT NULL,
    contact_id integer NOT NULL,
    role text
);

CREATE TABLE crm_deals.deal_duplicate (
    deal_id bigint NOT NULL,
    other_deal_id bigint NOT NULL,
    similarity real NOT NULL,
    found_at timestamp with time zone DEFAULT now() NOT NULL,
    resolution text DEFAULT 'open'::text NOT NULL,
    resolved_by text,
    resolved_at timestamp with time zone,
    remark text,
    CONSTRAINT deal_duplicate_not_itself CHECK ((deal_id <> other_deal_id)),
    CONSTRAINT deal_duplicate_resolution CHECK ((resolution = ANY (ARRAY['open'::text, 'dismissed'::text])))
);

CREATE TABLE crm_deals.deal_event (
    id bigint NOT NULL,
    batch_id bigint NOT NULL,
    deal_id bigint NOT NULL,
    version integer NOT NULL,
    kind text NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    session_user_name text NOT NULL,
    origin text DEFAULT 'live'::text NOT NULL,
    pipeline_id bigint NOT NULL,
    from_stage_id bigint,
    to_stage_id bigint,
    from_status crm_deals.deal_status,
    status crm_deals.deal_status,
    amount numeric,
    currency text,
    probability numeric,
    expected_close_date date,
    owner text,
    lost_reason text,
    changes jsonb NOT NULL,
    bypassed text[],
    merged_into bigint,
    note text,
    transaction xid8 DEFAULT pg_current_xact_id() NOT NULL,
    dispatch text,
    CONSTRAINT deal_event_dispatch CHECK ((dispatch = ANY ('{full,ids,summary,counted,doorbell}'::text[]))),
    CONSTRAINT deal_event_kind CHECK ((kind = ANY ('{deleted,merged,redacted,reverted,created,won,lost,abandoned,reopened,stage_changed,updated}'::text[]))),
    CONSTRAINT deal_event_origin CHECK ((origin = ANY ('{live,import}'::text[])))
)
WITH (fillfactor='100', autovacuum_vacuum_insert_scale_factor='0.05');

ALTER TABLE crm_deals.deal_event ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME crm_deals.deal_event_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE crm_deals.deal ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME crm_deals.deal_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE crm_deals.deal_name (
    deal_id bigint NOT NULL,
    organization text,
    name text NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.05');

CREATE TABLE crm_deals.pipeline (
    id bigint NOT NULL,
    organization text,
    name text NOT NULL,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    description text,
    is_active boolean DEFAULT true NOT NULL,
    is_default boolean DEFAULT false NOT NULL,
    currency text,
    forbid_skipping boolean DEFAULT false NOT NULL,
    forbid_backward boolean DEFAULT false NOT NULL,
    forbid_unlisted boolean DEFAULT false NOT NULL,
    lost_reason_required boolean DEFAULT true NOT NULL,
    lost_reason_required_since timestamp with time zone,
    duplicate_policy text DEFAULT 'flag'::text NOT NULL,
    duplicate_threshold real DEFAULT 0.85 NOT NULL,
    duplicate_scope text DEFAULT 'all'::text NOT NULL,
    CONSTRAINT pipeline_currency CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT pipeline_duplicate_policy CHECK ((duplicate_policy = ANY (ARRAY['off'::text, 'flag'::text, 'reject'::text]))),
    CONSTRAINT pipeline_duplicate_scope CHECK ((duplicate_scope = ANY (ARRAY['all'::text, 'open'::text, 'account'::text]))),
    CONSTRAINT pipeline_duplicate_threshold CHECK (((duplicate_threshold > (0)::double precision) AND (duplicate_threshold <= (1)::double precision))),
    CONSTRAINT pipeline_labels CHECK ((jsonb_typeof(labels) = 'object'::text)),
    CONSTRAINT pipeline_name CHECK ((btrim(name, ' 	
'::text) <> ''::text))
);

CREATE TABLE crm_deals.stage (
    id bigint NOT NULL,
    pipeline_id bigint NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    description text,
    "position" integer NOT NULL,
    status crm_deals.deal_status DEFAULT 'open'::crm_deals.deal_status NOT NULL,
    probability numeric NOT NULL,
    required_fields text[] DEFAULT '{}'::text[] NOT NULL,
    rots_after interval,
    archived_at timestamp with time zone,
    colour text DEFAULT 'grey'::text,
    CONSTRAINT stage_key CHECK ((btrim(key, ' 	
'::text) <> ''::text)),
    CONSTRAINT stage_labels CHECK ((jsonb_typeof(labels) = 'object'::text)),
    CONSTRAINT stage_name CHECK ((btrim(name, ' 	
'::text) <> ''::text)),
    CONSTRAINT stage_probability CHECK (((probability >= (0)::numeric) AND (probability <= (100)::numeric)))
);

CREATE VIEW crm_deals.deal_overview WITH (security_invoker='true') AS
 SELECT d.id,
    d.organization,
    d.name,
    d.pipeline_id,
    p.name AS pipeline,
    d.stage_id,
    s.key AS stage_key,
    s.name AS stage_name,
    crm_deals._label(s.labels, s.name) AS stage_label,
    d.status,
    d.amount,
    d.currency,
    d.probability,
    d.probability_overridden,
    ((d.amount * d.probability) * 0.01) AS weighted_amount,
    d.expected_close_date,
    d.closed_at,
    d.lost_reason,
    d.account_id,
    COALESCE(a.label, (d.account_id)::text) AS account_label,
    d.primary_contact_id,
    COALESCE(c.label, (d.primary_contact_id)::text) AS contact_label,
    d.owner,
    COALESCE(o.label, d.owner) AS owner_label,
    d.source,
    d.notes,
    d.custom_fields,
    d.external_id,
    d.version,
    d.stage_entered_at,
    (floor((EXTRACT(epoch FROM (now() - d.stage_entered_at)) / (86400)::numeric)))::integer AS days_in_stage,
    d.created_at,
    d.updated_at,
    ( SELECT count(*) AS count
           FROM crm_deals.deal_duplicate u
          WHERE ((u.resolution = 'open'::text) AND ((u.deal_id = d.id) OR (u.other_deal_id = d.id)))) AS open_duplicates
   FROM (((((crm_deals.deal d
     JOIN crm_deals.pipeline p ON ((p.id = d.pipeline_id)))
     JOIN crm_deals.stage s ON ((s.id = d.stage_id)))
     LEFT JOIN crm_deals._account a ON ((a.id = d.account_id)))
     LEFT JOIN crm_deals._contact c ON ((c.id = d.primary_contact_id)))
     LEFT JOIN crm_deals._owner o ON ((o.id = d.owner)));

CREATE VIEW crm_deals.deal_stage_history WITH (security_invoker='true') AS
 SELECT y.deal_id,
    y.stage_id,
    s.key AS stage_key,
    y.entered_at,
    y.left_at,
    (COALESCE(y.left_at, now()) - y.entered_at) AS duration,
    y.actor
   FROM (( SELECT x.deal_id,
            x.stage_id,
                CASE
                    WHEN (x.began OR (x.left_at IS NOT NULL)) THEN x.entered_at
                    ELSE d.stage_entered_at
                END AS entered_at,
            x.left_at,
            x.actor
           FROM (( SELECT e.deal_id,
                    b.stage_id,
                    b.began,
                    b.entered_at,
                    b.actor,
                    lead(b.at) OVER (PARTITION BY e.deal_id ORDER BY b.version) AS left_at
                   FROM (( SELECT v.deal_id,
                            v.version,
                            v.kind,
                            v.from_stage_id,
                            v.to_stage_id,
                            v.occurred_at,
                            v.actor,
                            (((v.changes -> 'stage_entered_at'::text) ->> 1))::timestamp with time zone AS stage_entered_at,
                            row_number() OVER (PARTITION BY v.deal_id ORDER BY v.version) AS number
                           FROM crm_deals.deal_event v) e
                     CROSS JOIN LATERAL ( SELECT e.version,
                            e.to_stage_id AS stage_id,
                            e.occurred_at AS at,
                            true AS began,
                            e.actor,
                                CASE e.kind
                                    WHEN 'created'::text THEN LEAST(e.stage_entered_at, e.occurred_at)
                                    ELSE e.occurred_at
                                END AS entered_at
                          WHERE (e.from_stage_id IS DISTINCT FROM e.to_stage_id)
                        UNION ALL
                         SELECT (e.version - 1),
                            e.from_stage_id,
                            NULL::timestamp with time zone AS at,
                            false,
                            NULL::text AS actor,
                            NULL::timestamp with time zone AS entered_at
                          WHERE ((e.number = 1) AND (e.from_stage_id IS NOT NULL))) b)) x
             LEFT JOIN crm_deals.deal d ON ((d.id = x.deal_id)))
          WHERE ((x.stage_id IS NOT NULL) AND ((d.id IS NOT NULL) OR (NOT row_security_active(('crm_deals.deal'::regclass)::oid))))) y
     LEFT JOIN crm_deals.stage s ON ((s.id = y.stage_id)));

CREATE TABLE crm_deals.exchange_rate (
    currency text NOT NULL,
    base text NOT NULL,
    rate numeric NOT NULL,
    valid_from date DEFAULT CURRENT_DATE NOT NULL,
    CONSTRAINT exchange_rate_base CHECK ((base ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT exchange_rate_currency CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT exchange_rate_rate CHECK (((rate > (0)::numeric) AND (rate < 'Infinity'::numeric))),
    CONSTRAINT exchange_rate_valid_from CHECK (isfinite(valid_from))
);

CREATE VIEW crm_deals.installation WITH (security_invoker='true') AS
 WITH host(field, host_table) AS (
         SELECT DISTINCT ON (a.attname) a.attname,
            (c.confrelid)::regclass AS confrelid
           FROM (pg_constraint c
             JOIN pg_attribute a ON (((a.attrelid = c.conrelid) AND (c.conkey = ARRAY[a.attnum]))))
          WHERE ((c.conrelid = ('crm_deals.deal'::regclass)::oid) AND (c.contype = 'f'::"char"))
          ORDER BY a.attname, c.oid
        )
 SELECT '0.1.0'::text AS version,
    ( SELECT h.host_table
           FROM host h
          WHERE (h.field = 'account_id'::name)) AS account_table,
    ( SELECT h.host_table
           FROM host h
          WHERE (h.field = 'primary_contact_id'::name)) AS contact_table,
    ( SELECT h.host_table
           FROM host h
          WHERE (h.field = 'owner'::name)) AS owner_table,
    '{"owner": {"name": "full_name", "email": "mail"}, "account": {"name": "company", "owner": "keeper", "custom_fields": "more"}, "contact": {"email": "mail", "last_name": "family", "account_id": "customer", "first_name": "given"}}'::jsonb AS columns;

CREATE TABLE crm_deals.lead (
    id bigint NOT NULL,
    organization text,
    company_name text,
    first_name text,
    last_name text,
    email text,
    phone text,
    status text DEFAULT 'new'::text NOT NULL,
    source text,
    owner text,
    custom_fields jsonb DEFAULT '{}'::jsonb NOT NULL,
    external_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    converted_at timestamp with time zone,
    account_id uuid,
    contact_id integer,
    deal_id bigint,
    score integer,
    CONSTRAINT lead_converted CHECK (((status = 'converted'::text) = (converted_at IS NOT NULL))),
    CONSTRAINT lead_custom_fields CHECK ((jsonb_typeof(custom_fields) = 'object'::text)),
    CONSTRAINT lead_status CHECK ((status = ANY (ARRAY['new'::text, 'working'::text, 'qualified'::text, 'disqualified'::text, 'converted'::text])))
);

ALTER TABLE ONLY crm_deals.lead REPLICA IDENTITY FULL;

ALTER TABLE crm_deals.lead ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME crm_deals.lead_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE crm_deals.log_generation (
    id bigint NOT NULL,
    generation integer NOT NULL,
    system_identifier bigint NOT NULL,
    entered_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE crm_deals.log_generation ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME crm_deals.log_generation_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE crm_deals.log_pruning (
    id bigint NOT NULL,
    horizon timestamp with time zone NOT NULL,
    pruned_at timestamp with time zone DEFAULT now() NOT NULL,
    pruned_by text NOT NULL,
    events bigint NOT NULL
);

ALTER TABLE crm_deals.log_pruning ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME crm_deals.log_pruning_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE crm_deals.lost_reason (
    id bigint NOT NULL,
    pipeline_id bigint NOT NULL,
    name text NOT NULL,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    CONSTRAINT lost_reason_labels CHECK ((jsonb_typeof(labels) = 'object'::text)),
    CONSTRAINT lost_reason_name CHECK ((btrim(name, ' 	
'::text) <> ''::text))
);

ALTER TABLE crm_deals.lost_reason ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME crm_deals.lost_reason_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE crm_deals.pipeline ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME crm_deals.pipeline_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE crm_deals.stage ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME crm_deals.stage_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE crm_deals.stage_name (
    stage_id bigint NOT NULL,
    until timestamp with time zone NOT NULL,
    key text NOT NULL,
    name text NOT NULL
);

CREATE TABLE crm_deals.stage_transition (
    id bigint NOT NULL,
    from_stage_id bigint,
    to_stage_id bigint NOT NULL
);

ALTER TABLE crm_deals.stage_transition ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME crm_deals.stage_transition_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE VIEW crm_deals.stale_deals WITH (security_invoker='true') AS
 SELECT d.id AS deal_id,
    d.name,
    d.pipeline_id,
    d.stage_id,
    s.key AS stage_key,
    crm_deals._label(s.labels, s.name) AS stage_label,
    d.owner,
    COALESCE(o.label, d.owner) AS owner_label,
    d.amount,
    d.currency,
    d.stage_entered_at,
    s.rots_after,
    ((now() - s.rots_after) - d.stage_entered_at) AS overdue
   FROM ((crm_deals.stage s
     JOIN crm_deals.deal d ON (((d.stage_id = s.id) AND (d.stage_entered_at < (now() - s.rots_after)))))
     LEFT JOIN crm_deals._owner o ON ((o.id = d.owner)))
  WHERE (s.rots_after IS NOT NULL);

CREATE TABLE public.campaign (
    id integer NOT NULL,
    title text
);

CREATE TABLE public.invoice (
    id bigint NOT NULL,
    deal_id bigint,
    stage_id bigint,
    event_id bigint
);

CREATE VIEW public.my_consumers AS
 SELECT c.consumer,
    c.last_acked_at
   FROM crm_deals.consumer_status c;

CREATE VIEW public.my_deals WITH (security_barrier='true') AS
 SELECT d.id,
    d.name,
    d.status,
    d.amount,
    d.stage_id,
    d.campaign_id,
    s.colour
   FROM (crm_deals.deal d
     JOIN crm_deals.stage s ON ((s.id = d.stage_id)));

COMMENT ON VIEW public.my_deals IS 'my view';

CREATE VIEW public.my_log AS
 SELECT e.id,
    e.deal_id,
    e.kind,
    e.changes
   FROM crm_deals.deal_event e;

CREATE VIEW public.my_overview WITH (security_invoker='true') AS
 SELECT o.id,
    o.name,
    o.stage_key,
    o.stage_label,
    o.account_label,
    o.owner_label,
    o.weighted_amount
   FROM crm_deals.deal_overview o;

CREATE VIEW public.my_stale AS
 SELECT x.deal_id,
    x.name,
    x.stage_label
   FROM crm_deals.stale_deals x;

CREATE VIEW public.my_stays AS
 SELECT h.deal_id,
    h.stage_key,
    h.entered_at
   FROM crm_deals.deal_stage_history h;

CREATE MATERIALIZED VIEW public.my_sums AS
 SELECT d.status,
    count(*) AS deals
   FROM crm_deals.deal d
  GROUP BY d.status
  WITH NO DATA;

ALTER TABLE public.person ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.person_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

COPY crm_deals.activity (id, kind, subject, body, occurred_at, due_at, done_at, actor, deal_id, account_id, contact_id, lead_id, place) FROM stdin;
1	note	Deal moved: Lead → Negotiation	on	2026-11-30 13:54:41.72679+00	\N	\N	postgres	3	\N	\N	\N	\N
2	note	Deal moved: Qualified → Negotiation	on	2026-11-30 13:54:41.726867+00	\N	\N	postgres	6	\N	\N	\N	\N
3	note	Deal moved: Lead → Negotiation	on	2026-11-30 13:54:41.726852+00	\N	\N	postgres	9	\N	\N	\N	\N
4	note	Deal moved: Qualified → Negotiation	on	2026-11-30 13:54:41.726878+00	\N	\N	postgres	12	\N	\N	\N	\N
5	note	Deal moved: New → Offer	Deal stage changed from New to Offer	2026-11-30 13:54:41.735806+00	\N	\N	postgres	27	\N	\N	\N	\N
6	note	Deal moved: New → Dropped	Deal stage changed from New to Dropped	2026-11-30 13:54:41.736213+00	\N	\N	postgres	26	\N	\N	\N	\N
7	email	Activity 1	body	2026-10-06 12:00:00+00	\N	\N	\N	1	\N	\N	\N	\N
8	note	Activity 2	body	2026-10-07 12:00:00+00	\N	\N	\N	2	\N	\N	\N	\N
9	call	Activity 3	body	2026-10-08 12:00:00+00	2026-12-05 12:00:00+00	\N	\N	3	\N	\N	\N	\N
10	task	Activity 4	body	2026-10-09 12:00:00+00	\N	\N	\N	4	\N	1	\N	\N
11	event	Activity 5	body	2026-10-10 12:00:00+00	\N	2026-11-30 13:54:41.782692+00	\N	5	\N	\N	\N	\N
12	meeting	Activity 6	body	2026-10-11 12:00:00+00	2026-12-05 12:00:00+00	\N	\N	6	\N	\N	\N	\N
13	email	Activity 7	body	2026-10-12 12:00:00+00	\N	\N	\N	7	\N	\N	\N	\N
14	note	Activity 8	body	2026-10-13 12:00:00+00	\N	\N	\N	8	\N	1	\N	\N
15	call	Activity 9	body	2026-10-14 12:00:00+00	2026-12-05 12:00:00+00	\N	\N	\N	\N	\N	\N	\N
16	task	Activity 10	body	2026-10-15 12:00:00+00	\N	2026-11-30 13:54:41.782692+00	\N	\N	\N	\N	2	\N
17	event	Activity 11	body	2026-10-16 12:00:00+00	\N	\N	\N	\N	\N	\N	2	\N
18	meeting	Activity 12	body	2026-10-17 12:00:00+00	2026-12-05 12:00:00+00	\N	\N	\N	\N	1	2	\N
19	note	Deal moved: Proposal → Won	Deal stage changed from Proposal to Won	2026-11-30 13:54:41.86264+00	\N	\N	postgres	10	\N	\N	\N	\N
\.

COPY crm_deals.custom_field (id, organization, entity, key, label, labels, type, options, required) FROM stdin;
1	\N	deal	seats	Seats	{}	number	\N	f
2	\N	lead	fair	Fair	{}	text	\N	f
3	\N	deal	plan	Plan	{}	select	["small", "big"]	f
\.

COPY crm_deals.deal (id, organization, name, account_id, primary_contact_id, pipeline_id, amount, currency, expected_close_date, owner, source, notes, custom_fields, external_id, created_at, stage_id, status, probability, probability_overridden, closed_at, lost_reason, version, last_open_stage_id, stage_entered_at, updated_at, campaign_id, tags, "Mixed Case", mood, share, title) FROM stdin;
11	\N	Deal 6512bd43d9ca	00000000-0000-0000-0000-000000000002	2	1	1100	CHF	2026-12-12	bob	\N	note 11	{"plan": "big", "seats": 11}	x11	2026-10-01 20:00:00+00	1	open	10	f	\N	\N	2	\N	2026-11-30 13:54:41.713752+00	2026-11-30 13:54:41.723233+00	\N	{new}	\N	good	\N	\N
13	\N	Deal c51ce410c124	00000000-0000-0000-0000-000000000004	4	1	1300	USD	2026-12-14	bob	\N	note 13	{"plan": "big", "seats": 13}	x13	2026-10-01 22:00:00+00	1	open	10	f	\N	\N	2	\N	2026-11-30 13:54:41.713765+00	2026-11-30 13:54:41.723254+00	\N	{new}	\N	good	\N	\N
15	\N	Deal 9bf31c7ff062	00000000-0000-0000-0000-000000000001	1	1	1500	EUR	2026-12-16	bob	\N	note 15	{"plan": "big", "seats": 15}	x15	2026-10-02 00:00:00+00	1	open	10	f	\N	\N	2	\N	2026-11-30 13:54:41.713781+00	2026-11-30 13:54:41.723272+00	\N	{new}	\N	good	\N	\N
8	\N	Deal c9f0f895fb98	00000000-0000-0000-0000-000000000004	4	1	800	CHF	2026-12-09	ann	web	note 8	{"plan": "small", "seats": 8}	x8	2026-10-01 17:00:00+00	4	open	75	f	\N	\N	3	\N	2026-11-30 13:54:41.724757+00	2026-11-30 13:54:41.724757+00	\N	{new}	\N	good	\N	\N
7	\N	Deal 8f14e45fceea	00000000-0000-0000-0000-000000000003	3	1	700	USD	2026-12-08	bob	\N	note 7	{"plan": "big", "seats": 7}	x7	2026-10-01 16:00:00+00	6	lost	0	f	2026-11-30 13:54:41.72519+00	Price	3	1	2026-11-30 13:54:41.72519+00	2026-11-30 13:54:41.72519+00	\N	{new}	\N	good	\N	\N
14	\N	Deal aab3238922bc	00000000-0000-0000-0000-000000000005	5	1	1400	CHF	2026-12-15	ann	web	note 14	{"plan": "small", "seats": 14}	x14	2026-10-01 23:00:00+00	6	lost	0	f	2026-11-30 13:54:41.725276+00	Price	4	4	2026-11-30 13:54:41.725276+00	2026-11-30 13:54:41.725276+00	\N	{new}	\N	good	\N	\N
9	\N	Deal 45c48cce2e2d	00000000-0000-0000-0000-000000000005	5	1	900	EUR	2026-12-10	bob	\N	note 9	{"plan": "big", "seats": 9}	x9	2026-10-01 18:00:00+00	4	open	75	f	\N	\N	3	\N	2026-11-30 13:54:41.726852+00	2026-11-30 13:54:41.726852+00	\N	{new}	\N	good	\N	\N
6	\N	Deal 1679091c5a88	00000000-0000-0000-0000-000000000002	2	1	600	EUR	2026-12-07	ann	web	note 6	{"plan": "small", "seats": 6}	x6	2026-10-01 15:00:00+00	4	open	75	f	\N	\N	4	\N	2026-11-30 13:54:41.726867+00	2026-11-30 13:54:41.726867+00	\N	{new}	\N	good	\N	\N
12	\N	Deal c20ad4d76fe9	00000000-0000-0000-0000-000000000003	3	1	1200	EUR	2026-12-13	ann	web	note 12	{"plan": "small", "seats": 12}	x12	2026-10-01 21:00:00+00	4	open	75	f	\N	\N	4	\N	2026-11-30 13:54:41.726878+00	2026-11-30 13:54:41.726878+00	\N	{new}	\N	good	\N	\N
5	\N	Deal e4da3b7fbbce	00000000-0000-0000-0000-000000000001	1	1	500	CHF	2026-12-06	bob	\N	note 5	{"plan": "big", "seats": 5}	x5	2026-10-01 14:00:00+00	1	open	77	t	\N	\N	3	\N	2026-11-30 13:54:41.713713+00	2026-11-30 13:54:41.736987+00	\N	{new}	\N	good	\N	\N
10	\N	Deal d3d9446802a4	00000000-0000-0000-0000-000000000001	1	1	1	USD	2026-12-11	ann	web	note 10	{"plan": "small", "seats": 10}	x10	2026-10-01 19:00:00+00	5	won	100	f	2026-11-30 13:54:41.86264+00	\N	5	3	2026-11-30 13:54:41.86264+00	2026-11-30 13:54:41.86264+00	\N	{new}	\N	good	\N	\N
17	\N	Deal 70efdf2ec9b0	00000000-0000-0000-0000-000000000003	3	1	1700	CHF	2026-12-18	bob	\N	note 17	{"plan": "big", "seats": 17}	x17	2026-10-02 02:00:00+00	1	open	10	f	\N	\N	2	\N	2026-11-30 13:54:41.713793+00	2026-11-30 13:54:41.72365+00	\N	{new}	\N	good	\N	\N
19	\N	Deal 1f0e3dad9990	00000000-0000-0000-0000-000000000005	5	1	1900	USD	2026-12-20	bob	\N	note 19	{"plan": "big", "seats": 19}	x19	2026-10-02 04:00:00+00	1	open	10	f	\N	\N	2	\N	2026-11-30 13:54:41.713805+00	2026-11-30 13:54:41.723679+00	\N	{new}	\N	good	\N	\N
16	\N	Deal c74d97b01eae	00000000-0000-0000-0000-000000000002	2	1	1600	USD	2026-12-17	ann	web	note 16	{"plan": "small", "seats": 16}	x16	2026-10-02 01:00:00+00	3	open	50	f	\N	\N	3	\N	2026-11-30 13:54:41.724797+00	2026-11-30 13:54:41.724797+00	\N	{new}	\N	good	\N	\N
20	\N	Deal 98f137082101	00000000-0000-0000-0000-000000000001	1	1	2000	CHF	2026-12-21	ann	web	note 20	{"plan": "small", "seats": 20}	x20	2026-10-02 05:00:00+00	4	open	75	f	\N	\N	3	\N	2026-11-30 13:54:41.724817+00	2026-11-30 13:54:41.724817+00	\N	{new}	\N	good	\N	\N
22	\N	Deal b6d767d2f8ed	00000000-0000-0000-0000-000000000003	3	1	2200	USD	2026-12-23	ann	web	note 22	{"plan": "small", "seats": 22}	x22	2026-10-02 07:00:00+00	3	open	50	f	\N	\N	3	\N	2026-11-30 13:54:41.724827+00	2026-11-30 13:54:41.724827+00	\N	{new}	\N	good	\N	\N
25	acme	Gated one	\N	\N	2	\N	EUR	\N	\N	\N	\N	{}	\N	2026-11-30 13:54:41.734815+00	7	open	0	f	\N	\N	1	\N	2026-11-30 13:54:41.734815+00	2026-11-30 13:54:41.734815+00	\N	{new}	\N	good	\N	\N
27	acme	Gated three	\N	\N	2	300	EUR	\N	\N	\N	\N	{}	\N	2026-11-30 13:54:41.735184+00	8	open	40	f	\N	\N	2	\N	2026-11-30 13:54:41.735806+00	2026-11-30 13:54:41.735806+00	\N	{new}	\N	good	\N	\N
26	acme	Gated two	\N	\N	2	200	EUR	\N	\N	\N	\N	{}	\N	2026-11-30 13:54:41.735176+00	12	abandoned	0	f	2026-11-30 13:54:41.736213+00	\N	2	7	2026-11-30 13:54:41.736213+00	2026-11-30 13:54:41.736213+00	\N	{new}	\N	good	\N	\N
28	\N	Listed one	\N	\N	3	\N	CHF	\N	\N	\N	\N	{}	\N	2026-11-30 13:54:41.736502+00	13	open	0	f	\N	\N	1	\N	2026-11-30 13:54:41.736502+00	2026-11-30 13:54:41.736502+00	\N	{new}	\N	good	\N	\N
18	\N	Deal 6f4922f45568	00000000-0000-0000-0000-000000000004	4	1	1800	EUR	2026-12-19	ann	web	note 18	{"plan": "small", "seats": 18}	x18	2026-10-02 03:00:00+00	16	open	30	f	\N	\N	4	\N	2026-11-30 13:54:41.739527+00	2026-11-30 13:54:41.739527+00	\N	{new}	\N	good	\N	\N
29	\N	Harbour office lease	\N	\N	1	\N	EUR	\N	\N	\N	\N	{}	h1	2026-11-30 13:54:41.740926+00	1	open	10	f	\N	\N	1	\N	2026-11-30 13:54:41.740926+00	2026-11-30 13:54:41.740926+00	\N	{new}	\N	good	\N	\N
30	\N	Harbour office leases	\N	\N	1	\N	EUR	\N	\N	\N	\N	{}	h2	2026-11-30 13:54:41.74127+00	1	open	10	f	\N	\N	1	\N	2026-11-30 13:54:41.74127+00	2026-11-30 13:54:41.74127+00	\N	{new}	\N	good	\N	\N
33	\N	Mountain Railway maintenance	\N	\N	1	\N	EUR	\N	\N	\N	\N	{}	m3	2026-11-30 13:54:41.741289+00	1	open	10	f	\N	\N	1	\N	2026-11-30 13:54:41.741289+00	2026-11-30 13:54:41.741289+00	\N	{new}	\N	good	\N	\N
31	\N	Mountain railway maintenance	\N	\N	1	\N	EUR	\N	\N	\N	\N	{}	m1	2026-11-30 13:54:41.741278+00	1	open	10	f	\N	\N	1	\N	2026-11-30 13:54:41.741278+00	2026-11-30 13:54:41.741278+00	\N	{new}	\N	good	\N	\N
4	\N	Deal a87ff679a2f3	00000000-0000-0000-0000-000000000005	5	1	400	USD	2026-12-05	ann	web	note 4	{"plan": "small", "seats": 4}	x4	2026-10-01 13:00:00+00	5	won	100	f	2026-11-30 13:54:41.729583+00	\N	5	3	2026-11-30 13:54:41.729583+00	2026-11-30 13:54:42.136583+00	1	{a,b}	4.00	good	50	TITLE 4
1	\N	Deal c4ca4238a0b9	00000000-0000-0000-0000-000000000002	2	1	100	USD	2026-12-02	bob	\N	note 1	{"plan": "big", "seats": 1}	x1	2026-10-01 10:00:00+00	1	open	10	f	\N	\N	5	\N	2026-11-30 13:54:41.712869+00	2026-11-30 13:54:42.143307+00	1	{a,b}	1.00	good	50	TITLE 1
3	\N	Deal eccbc87e4b5c	00000000-0000-0000-0000-000000000004	4	1	300	EUR	2026-12-04	bob	\N	note 3	{"plan": "big", "seats": 3}	x3	2026-10-01 12:00:00+00	4	open	75	f	\N	\N	6	\N	2026-11-30 13:54:41.72679+00	2026-11-30 13:54:42.143371+00	1	{a,b}	3.00	good	50	TITLE 3
23	\N	Deal 37693cfc7480	00000000-0000-0000-0000-000000000004	4	1	2300	CHF	2026-12-24	bob	\N	note 23	{"plan": "big", "seats": 23}	x23	2026-10-02 08:00:00+00	1	open	10	f	\N	\N	4	\N	2026-11-30 13:54:41.713831+00	2026-11-30 13:54:41.755395+00	\N	{new}	\N	good	\N	\N
34	\N	Roe Ltd	7ac20916-9ca2-43e2-b700-83e20ae8689d	6	1	12	EUR	\N	\N	\N	\N	{}	\N	2026-11-30 13:54:41.77788+00	1	open	10	f	\N	\N	1	\N	2026-11-30 13:54:41.77788+00	2026-11-30 13:54:41.77788+00	\N	{new}	\N	good	\N	\N
35	\N	Imported	\N	\N	1	12000	EUR	\N	\N	\N	\N	{}	erp-1	2024-03-01 00:00:00+00	3	open	50	f	\N	\N	1	\N	2026-11-30 13:54:41.840434+00	2026-11-30 13:54:41.840434+00	\N	{new}	\N	good	\N	\N
21	\N	[redacted]	00000000-0000-0000-0000-000000000002	2	1	2100	EUR	2026-12-22	bob	\N	[redacted]	{"plan": "[redacted]"}	x21	2026-10-02 06:00:00+00	6	lost	0	f	2026-11-30 13:54:41.725292+00	Price	4	1	2026-11-30 13:54:41.725292+00	2026-11-30 13:54:41.84931+00	\N	{new}	\N	good	\N	\N
2	\N	Deal c81e728d9d4c	00000000-0000-0000-0000-000000000003	3	1	200	CHF	2026-12-03	ann	web	note 2	{"plan": "small", "seats": 2}	x2	2026-10-01 11:00:00+00	5	won	100	f	2026-11-30 13:54:41.729519+00	\N	7	4	2026-11-30 13:54:41.729519+00	2026-11-30 13:54:42.143396+00	1	{a,b}	2.00	good	50	TITLE 2
\.

COPY crm_deals.deal_alias (old_id, old_external_id, deal_id) FROM stdin;
32	m2	31
\.

COPY crm_deals.deal_contact (deal_id, contact_id, role) FROM stdin;
1	1	buyer
1	2	\N
5	3	user
\.

COPY crm_deals.deal_duplicate (deal_id, other_deal_id, similarity, found_at, resolution, resolved_by, resolved_at, remark) FROM stdin;
33	31	1	2026-11-30 13:54:41.74055+00	open	\N	\N	looked at it
30	29	0.8695652	2026-11-30 13:54:41.74055+00	dismissed	postgres	2026-11-30 13:54:41.746736+00	looked at it
\.

COPY crm_deals.deal_event (id, batch_id, deal_id, version, kind, occurred_at, actor, session_user_name, origin, pipeline_id, from_stage_id, to_stage_id, from_status, status, amount, currency, probability, expected_close_date, owner, lost_reason, changes, bypassed, merged_into, note, transaction, dispatch) FROM stdin;
1	1	1	1	created	2026-11-30 13:54:41.712869+00	postgres	postgres	live	1	\N	1	\N	open	100	USD	10	2026-12-02	\N	\N	{"id": [null, 1], "name": [null, "Deal c4ca4238a0b9"], "notes": [null, "note 1"], "amount": [null, 100], "status": [null, "open"], "version": [null, 1], "currency": [null, "USD"], "stage_id": [null, 1], "created_at": [null, "2026-10-01T10:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.712869+00:00"], "external_id": [null, "x1"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.712869+00:00"], "custom_fields.plan": [null, "big"], "custom_fields.seats": [null, 1], "expected_close_date": [null, "2026-12-02"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
2	1	2	1	created	2026-11-30 13:54:41.713682+00	postgres	postgres	live	1	\N	1	\N	open	200	CHF	10	2026-12-03	\N	\N	{"id": [null, 2], "name": [null, "Deal c81e728d9d4c"], "notes": [null, "note 2"], "amount": [null, 200], "source": [null, "web"], "status": [null, "open"], "version": [null, 1], "currency": [null, "CHF"], "stage_id": [null, 1], "created_at": [null, "2026-10-01T11:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713682+00:00"], "external_id": [null, "x2"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713682+00:00"], "custom_fields.plan": [null, "small"], "custom_fields.seats": [null, 2], "expected_close_date": [null, "2026-12-03"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
3	1	3	1	created	2026-11-30 13:54:41.713697+00	postgres	postgres	live	1	\N	1	\N	open	300	EUR	10	2026-12-04	\N	\N	{"id": [null, 3], "name": [null, "Deal eccbc87e4b5c"], "notes": [null, "note 3"], "amount": [null, 300], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 1], "created_at": [null, "2026-10-01T12:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713697+00:00"], "external_id": [null, "x3"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713697+00:00"], "custom_fields.plan": [null, "big"], "custom_fields.seats": [null, 3], "expected_close_date": [null, "2026-12-04"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
4	1	4	1	created	2026-11-30 13:54:41.713706+00	postgres	postgres	live	1	\N	1	\N	open	400	USD	10	2026-12-05	\N	\N	{"id": [null, 4], "name": [null, "Deal a87ff679a2f3"], "notes": [null, "note 4"], "amount": [null, 400], "source": [null, "web"], "status": [null, "open"], "version": [null, 1], "currency": [null, "USD"], "stage_id": [null, 1], "created_at": [null, "2026-10-01T13:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713706+00:00"], "external_id": [null, "x4"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713706+00:00"], "custom_fields.plan": [null, "small"], "custom_fields.seats": [null, 4], "expected_close_date": [null, "2026-12-05"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
5	1	5	1	created	2026-11-30 13:54:41.713713+00	postgres	postgres	live	1	\N	1	\N	open	500	CHF	10	2026-12-06	\N	\N	{"id": [null, 5], "name": [null, "Deal e4da3b7fbbce"], "notes": [null, "note 5"], "amount": [null, 500], "status": [null, "open"], "version": [null, 1], "currency": [null, "CHF"], "stage_id": [null, 1], "created_at": [null, "2026-10-01T14:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713713+00:00"], "external_id": [null, "x5"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713713+00:00"], "custom_fields.plan": [null, "big"], "custom_fields.seats": [null, 5], "expected_close_date": [null, "2026-12-06"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
6	1	6	1	created	2026-11-30 13:54:41.71372+00	postgres	postgres	live	1	\N	1	\N	open	600	EUR	10	2026-12-07	\N	\N	{"id": [null, 6], "name": [null, "Deal 1679091c5a88"], "notes": [null, "note 6"], "amount": [null, 600], "source": [null, "web"], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 1], "created_at": [null, "2026-10-01T15:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.71372+00:00"], "external_id": [null, "x6"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.71372+00:00"], "custom_fields.plan": [null, "small"], "custom_fields.seats": [null, 6], "expected_close_date": [null, "2026-12-07"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
7	1	7	1	created	2026-11-30 13:54:41.713727+00	postgres	postgres	live	1	\N	1	\N	open	700	USD	10	2026-12-08	\N	\N	{"id": [null, 7], "name": [null, "Deal 8f14e45fceea"], "notes": [null, "note 7"], "amount": [null, 700], "status": [null, "open"], "version": [null, 1], "currency": [null, "USD"], "stage_id": [null, 1], "created_at": [null, "2026-10-01T16:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713727+00:00"], "external_id": [null, "x7"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713727+00:00"], "custom_fields.plan": [null, "big"], "custom_fields.seats": [null, 7], "expected_close_date": [null, "2026-12-08"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
8	1	8	1	created	2026-11-30 13:54:41.713733+00	postgres	postgres	live	1	\N	1	\N	open	800	CHF	10	2026-12-09	\N	\N	{"id": [null, 8], "name": [null, "Deal c9f0f895fb98"], "notes": [null, "note 8"], "amount": [null, 800], "source": [null, "web"], "status": [null, "open"], "version": [null, 1], "currency": [null, "CHF"], "stage_id": [null, 1], "created_at": [null, "2026-10-01T17:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713733+00:00"], "external_id": [null, "x8"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713733+00:00"], "custom_fields.plan": [null, "small"], "custom_fields.seats": [null, 8], "expected_close_date": [null, "2026-12-09"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
27	25	3	2	updated	2026-11-30 13:54:41.723153+00	postgres	postgres	live	1	1	1	open	open	300	EUR	10	2026-12-04	bob	\N	{"owner": [null, "bob"], "account_id": [null, "00000000-0000-0000-0000-000000000004"], "primary_contact_id": [null, 4]}	\N	\N	\N	1378	\N
28	25	4	2	updated	2026-11-30 13:54:41.723164+00	postgres	postgres	live	1	1	1	open	open	400	USD	10	2026-12-05	ann	\N	{"owner": [null, "ann"], "account_id": [null, "00000000-0000-0000-0000-000000000005"], "primary_contact_id": [null, 5]}	\N	\N	\N	1378	\N
9	1	9	1	created	2026-11-30 13:54:41.713739+00	postgres	postgres	live	1	\N	1	\N	open	900	EUR	10	2026-12-10	\N	\N	{"id": [null, 9], "name": [null, "Deal 45c48cce2e2d"], "notes": [null, "note 9"], "amount": [null, 900], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 1], "created_at": [null, "2026-10-01T18:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713739+00:00"], "external_id": [null, "x9"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713739+00:00"], "custom_fields.plan": [null, "big"], "custom_fields.seats": [null, 9], "expected_close_date": [null, "2026-12-10"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
10	1	10	1	created	2026-11-30 13:54:41.713746+00	postgres	postgres	live	1	\N	1	\N	open	1000	USD	10	2026-12-11	\N	\N	{"id": [null, 10], "name": [null, "Deal d3d9446802a4"], "notes": [null, "note 10"], "amount": [null, 1000], "source": [null, "web"], "status": [null, "open"], "version": [null, 1], "currency": [null, "USD"], "stage_id": [null, 1], "created_at": [null, "2026-10-01T19:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713746+00:00"], "external_id": [null, "x10"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713746+00:00"], "custom_fields.plan": [null, "small"], "custom_fields.seats": [null, 10], "expected_close_date": [null, "2026-12-11"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
11	1	11	1	created	2026-11-30 13:54:41.713752+00	postgres	postgres	live	1	\N	1	\N	open	1100	CHF	10	2026-12-12	\N	\N	{"id": [null, 11], "name": [null, "Deal 6512bd43d9ca"], "notes": [null, "note 11"], "amount": [null, 1100], "status": [null, "open"], "version": [null, 1], "currency": [null, "CHF"], "stage_id": [null, 1], "created_at": [null, "2026-10-01T20:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713752+00:00"], "external_id": [null, "x11"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713752+00:00"], "custom_fields.plan": [null, "big"], "custom_fields.seats": [null, 11], "expected_close_date": [null, "2026-12-12"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
12	1	12	1	created	2026-11-30 13:54:41.713759+00	postgres	postgres	live	1	\N	1	\N	open	1200	EUR	10	2026-12-13	\N	\N	{"id": [null, 12], "name": [null, "Deal c20ad4d76fe9"], "notes": [null, "note 12"], "amount": [null, 1200], "source": [null, "web"], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 1], "created_at": [null, "2026-10-01T21:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713759+00:00"], "external_id": [null, "x12"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713759+00:00"], "custom_fields.plan": [null, "small"], "custom_fields.seats": [null, 12], "expected_close_date": [null, "2026-12-13"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
13	1	13	1	created	2026-11-30 13:54:41.713765+00	postgres	postgres	live	1	\N	1	\N	open	1300	USD	10	2026-12-14	\N	\N	{"id": [null, 13], "name": [null, "Deal c51ce410c124"], "notes": [null, "note 13"], "amount": [null, 1300], "status": [null, "open"], "version": [null, 1], "currency": [null, "USD"], "stage_id": [null, 1], "created_at": [null, "2026-10-01T22:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713765+00:00"], "external_id": [null, "x13"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713765+00:00"], "custom_fields.plan": [null, "big"], "custom_fields.seats": [null, 13], "expected_close_date": [null, "2026-12-14"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
14	1	14	1	created	2026-11-30 13:54:41.713771+00	postgres	postgres	live	1	\N	1	\N	open	1400	CHF	10	2026-12-15	\N	\N	{"id": [null, 14], "name": [null, "Deal aab3238922bc"], "notes": [null, "note 14"], "amount": [null, 1400], "source": [null, "web"], "status": [null, "open"], "version": [null, 1], "currency": [null, "CHF"], "stage_id": [null, 1], "created_at": [null, "2026-10-01T23:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713771+00:00"], "external_id": [null, "x14"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713771+00:00"], "custom_fields.plan": [null, "small"], "custom_fields.seats": [null, 14], "expected_close_date": [null, "2026-12-15"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
15	1	15	1	created	2026-11-30 13:54:41.713781+00	postgres	postgres	live	1	\N	1	\N	open	1500	EUR	10	2026-12-16	\N	\N	{"id": [null, 15], "name": [null, "Deal 9bf31c7ff062"], "notes": [null, "note 15"], "amount": [null, 1500], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 1], "created_at": [null, "2026-10-02T00:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713781+00:00"], "external_id": [null, "x15"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713781+00:00"], "custom_fields.plan": [null, "big"], "custom_fields.seats": [null, 15], "expected_close_date": [null, "2026-12-16"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
16	1	16	1	created	2026-11-30 13:54:41.713787+00	postgres	postgres	live	1	\N	1	\N	open	1600	USD	10	2026-12-17	\N	\N	{"id": [null, 16], "name": [null, "Deal c74d97b01eae"], "notes": [null, "note 16"], "amount": [null, 1600], "source": [null, "web"], "status": [null, "open"], "version": [null, 1], "currency": [null, "USD"], "stage_id": [null, 1], "created_at": [null, "2026-10-02T01:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713787+00:00"], "external_id": [null, "x16"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713787+00:00"], "custom_fields.plan": [null, "small"], "custom_fields.seats": [null, 16], "expected_close_date": [null, "2026-12-17"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
29	25	5	2	updated	2026-11-30 13:54:41.723174+00	postgres	postgres	live	1	1	1	open	open	500	CHF	10	2026-12-06	bob	\N	{"owner": [null, "bob"], "account_id": [null, "00000000-0000-0000-0000-000000000001"], "primary_contact_id": [null, 1]}	\N	\N	\N	1378	\N
30	25	6	2	updated	2026-11-30 13:54:41.723184+00	postgres	postgres	live	1	1	1	open	open	600	EUR	10	2026-12-07	ann	\N	{"owner": [null, "ann"], "account_id": [null, "00000000-0000-0000-0000-000000000002"], "primary_contact_id": [null, 2]}	\N	\N	\N	1378	\N
17	1	17	1	created	2026-11-30 13:54:41.713793+00	postgres	postgres	live	1	\N	1	\N	open	1700	CHF	10	2026-12-18	\N	\N	{"id": [null, 17], "name": [null, "Deal 70efdf2ec9b0"], "notes": [null, "note 17"], "amount": [null, 1700], "status": [null, "open"], "version": [null, 1], "currency": [null, "CHF"], "stage_id": [null, 1], "created_at": [null, "2026-10-02T02:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713793+00:00"], "external_id": [null, "x17"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713793+00:00"], "custom_fields.plan": [null, "big"], "custom_fields.seats": [null, 17], "expected_close_date": [null, "2026-12-18"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
18	1	18	1	created	2026-11-30 13:54:41.713799+00	postgres	postgres	live	1	\N	1	\N	open	1800	EUR	10	2026-12-19	\N	\N	{"id": [null, 18], "name": [null, "Deal 6f4922f45568"], "notes": [null, "note 18"], "amount": [null, 1800], "source": [null, "web"], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 1], "created_at": [null, "2026-10-02T03:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713799+00:00"], "external_id": [null, "x18"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713799+00:00"], "custom_fields.plan": [null, "small"], "custom_fields.seats": [null, 18], "expected_close_date": [null, "2026-12-19"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
19	1	19	1	created	2026-11-30 13:54:41.713805+00	postgres	postgres	live	1	\N	1	\N	open	1900	USD	10	2026-12-20	\N	\N	{"id": [null, 19], "name": [null, "Deal 1f0e3dad9990"], "notes": [null, "note 19"], "amount": [null, 1900], "status": [null, "open"], "version": [null, 1], "currency": [null, "USD"], "stage_id": [null, 1], "created_at": [null, "2026-10-02T04:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713805+00:00"], "external_id": [null, "x19"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713805+00:00"], "custom_fields.plan": [null, "big"], "custom_fields.seats": [null, 19], "expected_close_date": [null, "2026-12-20"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
20	1	20	1	created	2026-11-30 13:54:41.713812+00	postgres	postgres	live	1	\N	1	\N	open	2000	CHF	10	2026-12-21	\N	\N	{"id": [null, 20], "name": [null, "Deal 98f137082101"], "notes": [null, "note 20"], "amount": [null, 2000], "source": [null, "web"], "status": [null, "open"], "version": [null, 1], "currency": [null, "CHF"], "stage_id": [null, 1], "created_at": [null, "2026-10-02T05:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713812+00:00"], "external_id": [null, "x20"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713812+00:00"], "custom_fields.plan": [null, "small"], "custom_fields.seats": [null, 20], "expected_close_date": [null, "2026-12-21"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
22	1	22	1	created	2026-11-30 13:54:41.713824+00	postgres	postgres	live	1	\N	1	\N	open	2200	USD	10	2026-12-23	\N	\N	{"id": [null, 22], "name": [null, "Deal b6d767d2f8ed"], "notes": [null, "note 22"], "amount": [null, 2200], "source": [null, "web"], "status": [null, "open"], "version": [null, 1], "currency": [null, "USD"], "stage_id": [null, 1], "created_at": [null, "2026-10-02T07:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713824+00:00"], "external_id": [null, "x22"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713824+00:00"], "custom_fields.plan": [null, "small"], "custom_fields.seats": [null, 22], "expected_close_date": [null, "2026-12-23"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
23	1	23	1	created	2026-11-30 13:54:41.713831+00	postgres	postgres	live	1	\N	1	\N	open	2300	CHF	10	2026-12-24	\N	\N	{"id": [null, 23], "name": [null, "Deal 37693cfc7480"], "notes": [null, "note 23"], "amount": [null, 2300], "status": [null, "open"], "version": [null, 1], "currency": [null, "CHF"], "stage_id": [null, 1], "created_at": [null, "2026-10-02T08:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713831+00:00"], "external_id": [null, "x23"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713831+00:00"], "custom_fields.plan": [null, "big"], "custom_fields.seats": [null, 23], "expected_close_date": [null, "2026-12-24"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
24	1	24	1	created	2026-11-30 13:54:41.713839+00	postgres	postgres	live	1	\N	1	\N	open	2400	EUR	10	2026-12-25	\N	\N	{"id": [null, 24], "name": [null, "Deal 1ff1de774005"], "notes": [null, "note 24"], "amount": [null, 2400], "source": [null, "web"], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 1], "created_at": [null, "2026-10-02T09:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713839+00:00"], "external_id": [null, "x24"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713839+00:00"], "custom_fields.plan": [null, "small"], "custom_fields.seats": [null, 24], "expected_close_date": [null, "2026-12-25"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
25	25	1	2	updated	2026-11-30 13:54:41.722963+00	postgres	postgres	live	1	1	1	open	open	100	USD	10	2026-12-02	bob	\N	{"owner": [null, "bob"], "account_id": [null, "00000000-0000-0000-0000-000000000002"], "primary_contact_id": [null, 2]}	\N	\N	\N	1378	\N
26	25	2	2	updated	2026-11-30 13:54:41.723135+00	postgres	postgres	live	1	1	1	open	open	200	CHF	10	2026-12-03	ann	\N	{"owner": [null, "ann"], "account_id": [null, "00000000-0000-0000-0000-000000000003"], "primary_contact_id": [null, 3]}	\N	\N	\N	1378	\N
31	25	7	2	updated	2026-11-30 13:54:41.723193+00	postgres	postgres	live	1	1	1	open	open	700	USD	10	2026-12-08	bob	\N	{"owner": [null, "bob"], "account_id": [null, "00000000-0000-0000-0000-000000000003"], "primary_contact_id": [null, 3]}	\N	\N	\N	1378	\N
32	25	8	2	updated	2026-11-30 13:54:41.723204+00	postgres	postgres	live	1	1	1	open	open	800	CHF	10	2026-12-09	ann	\N	{"owner": [null, "ann"], "account_id": [null, "00000000-0000-0000-0000-000000000004"], "primary_contact_id": [null, 4]}	\N	\N	\N	1378	\N
33	25	9	2	updated	2026-11-30 13:54:41.723214+00	postgres	postgres	live	1	1	1	open	open	900	EUR	10	2026-12-10	bob	\N	{"owner": [null, "bob"], "account_id": [null, "00000000-0000-0000-0000-000000000005"], "primary_contact_id": [null, 5]}	\N	\N	\N	1378	\N
34	25	10	2	updated	2026-11-30 13:54:41.723224+00	postgres	postgres	live	1	1	1	open	open	1000	USD	10	2026-12-11	ann	\N	{"owner": [null, "ann"], "account_id": [null, "00000000-0000-0000-0000-000000000001"], "primary_contact_id": [null, 1]}	\N	\N	\N	1378	\N
35	25	11	2	updated	2026-11-30 13:54:41.723233+00	postgres	postgres	live	1	1	1	open	open	1100	CHF	10	2026-12-12	bob	\N	{"owner": [null, "bob"], "account_id": [null, "00000000-0000-0000-0000-000000000002"], "primary_contact_id": [null, 2]}	\N	\N	\N	1378	\N
36	25	12	2	updated	2026-11-30 13:54:41.723243+00	postgres	postgres	live	1	1	1	open	open	1200	EUR	10	2026-12-13	ann	\N	{"owner": [null, "ann"], "account_id": [null, "00000000-0000-0000-0000-000000000003"], "primary_contact_id": [null, 3]}	\N	\N	\N	1378	\N
37	25	13	2	updated	2026-11-30 13:54:41.723254+00	postgres	postgres	live	1	1	1	open	open	1300	USD	10	2026-12-14	bob	\N	{"owner": [null, "bob"], "account_id": [null, "00000000-0000-0000-0000-000000000004"], "primary_contact_id": [null, 4]}	\N	\N	\N	1378	\N
38	25	14	2	updated	2026-11-30 13:54:41.723263+00	postgres	postgres	live	1	1	1	open	open	1400	CHF	10	2026-12-15	ann	\N	{"owner": [null, "ann"], "account_id": [null, "00000000-0000-0000-0000-000000000005"], "primary_contact_id": [null, 5]}	\N	\N	\N	1378	\N
39	25	15	2	updated	2026-11-30 13:54:41.723272+00	postgres	postgres	live	1	1	1	open	open	1500	EUR	10	2026-12-16	bob	\N	{"owner": [null, "bob"], "account_id": [null, "00000000-0000-0000-0000-000000000001"], "primary_contact_id": [null, 1]}	\N	\N	\N	1378	\N
40	25	16	2	updated	2026-11-30 13:54:41.723281+00	postgres	postgres	live	1	1	1	open	open	1600	USD	10	2026-12-17	ann	\N	{"owner": [null, "ann"], "account_id": [null, "00000000-0000-0000-0000-000000000002"], "primary_contact_id": [null, 2]}	\N	\N	\N	1378	\N
41	25	17	2	updated	2026-11-30 13:54:41.72365+00	postgres	postgres	live	1	1	1	open	open	1700	CHF	10	2026-12-18	bob	\N	{"owner": [null, "bob"], "account_id": [null, "00000000-0000-0000-0000-000000000003"], "primary_contact_id": [null, 3]}	\N	\N	\N	1378	\N
42	25	18	2	updated	2026-11-30 13:54:41.723669+00	postgres	postgres	live	1	1	1	open	open	1800	EUR	10	2026-12-19	ann	\N	{"owner": [null, "ann"], "account_id": [null, "00000000-0000-0000-0000-000000000004"], "primary_contact_id": [null, 4]}	\N	\N	\N	1378	\N
43	25	19	2	updated	2026-11-30 13:54:41.723679+00	postgres	postgres	live	1	1	1	open	open	1900	USD	10	2026-12-20	bob	\N	{"owner": [null, "bob"], "account_id": [null, "00000000-0000-0000-0000-000000000005"], "primary_contact_id": [null, 5]}	\N	\N	\N	1378	\N
44	25	20	2	updated	2026-11-30 13:54:41.723689+00	postgres	postgres	live	1	1	1	open	open	2000	CHF	10	2026-12-21	ann	\N	{"owner": [null, "ann"], "account_id": [null, "00000000-0000-0000-0000-000000000001"], "primary_contact_id": [null, 1]}	\N	\N	\N	1378	\N
46	25	22	2	updated	2026-11-30 13:54:41.723707+00	postgres	postgres	live	1	1	1	open	open	2200	USD	10	2026-12-23	ann	\N	{"owner": [null, "ann"], "account_id": [null, "00000000-0000-0000-0000-000000000003"], "primary_contact_id": [null, 3]}	\N	\N	\N	1378	\N
47	25	23	2	updated	2026-11-30 13:54:41.723719+00	postgres	postgres	live	1	1	1	open	open	2300	CHF	10	2026-12-24	bob	\N	{"owner": [null, "bob"], "account_id": [null, "00000000-0000-0000-0000-000000000004"], "primary_contact_id": [null, 4]}	\N	\N	\N	1378	\N
48	25	24	2	updated	2026-11-30 13:54:41.723728+00	postgres	postgres	live	1	1	1	open	open	2400	EUR	10	2026-12-25	ann	\N	{"owner": [null, "ann"], "account_id": [null, "00000000-0000-0000-0000-000000000005"], "primary_contact_id": [null, 5]}	\N	\N	\N	1378	\N
49	49	2	3	stage_changed	2026-11-30 13:54:41.72468+00	postgres	postgres	live	1	1	4	open	open	200	CHF	75	2026-12-03	ann	\N	{"stage_id": [1, 4], "probability": [10, 75], "stage_entered_at": ["2026-11-30T13:54:41.713682+00:00", "2026-11-30T13:54:41.72468+00:00"]}	\N	\N	\N	1379	\N
50	49	4	3	stage_changed	2026-11-30 13:54:41.724732+00	postgres	postgres	live	1	1	3	open	open	400	USD	50	2026-12-05	ann	\N	{"stage_id": [1, 3], "probability": [10, 50], "stage_entered_at": ["2026-11-30T13:54:41.713706+00:00", "2026-11-30T13:54:41.724732+00:00"]}	\N	\N	\N	1379	\N
51	49	6	3	stage_changed	2026-11-30 13:54:41.724746+00	postgres	postgres	live	1	1	2	open	open	600	EUR	25	2026-12-07	ann	\N	{"stage_id": [1, 2], "probability": [10, 25], "stage_entered_at": ["2026-11-30T13:54:41.71372+00:00", "2026-11-30T13:54:41.724746+00:00"]}	\N	\N	\N	1379	\N
52	49	8	3	stage_changed	2026-11-30 13:54:41.724757+00	postgres	postgres	live	1	1	4	open	open	800	CHF	75	2026-12-09	ann	\N	{"stage_id": [1, 4], "probability": [10, 75], "stage_entered_at": ["2026-11-30T13:54:41.713733+00:00", "2026-11-30T13:54:41.724757+00:00"]}	\N	\N	\N	1379	\N
53	49	10	3	stage_changed	2026-11-30 13:54:41.724766+00	postgres	postgres	live	1	1	3	open	open	1000	USD	50	2026-12-11	ann	\N	{"stage_id": [1, 3], "probability": [10, 50], "stage_entered_at": ["2026-11-30T13:54:41.713746+00:00", "2026-11-30T13:54:41.724766+00:00"]}	\N	\N	\N	1379	\N
54	49	12	3	stage_changed	2026-11-30 13:54:41.724776+00	postgres	postgres	live	1	1	2	open	open	1200	EUR	25	2026-12-13	ann	\N	{"stage_id": [1, 2], "probability": [10, 25], "stage_entered_at": ["2026-11-30T13:54:41.713759+00:00", "2026-11-30T13:54:41.724776+00:00"]}	\N	\N	\N	1379	\N
55	49	14	3	stage_changed	2026-11-30 13:54:41.724786+00	postgres	postgres	live	1	1	4	open	open	1400	CHF	75	2026-12-15	ann	\N	{"stage_id": [1, 4], "probability": [10, 75], "stage_entered_at": ["2026-11-30T13:54:41.713771+00:00", "2026-11-30T13:54:41.724786+00:00"]}	\N	\N	\N	1379	\N
56	49	16	3	stage_changed	2026-11-30 13:54:41.724797+00	postgres	postgres	live	1	1	3	open	open	1600	USD	50	2026-12-17	ann	\N	{"stage_id": [1, 3], "probability": [10, 50], "stage_entered_at": ["2026-11-30T13:54:41.713787+00:00", "2026-11-30T13:54:41.724797+00:00"]}	\N	\N	\N	1379	\N
57	49	18	3	stage_changed	2026-11-30 13:54:41.724807+00	postgres	postgres	live	1	1	2	open	open	1800	EUR	25	2026-12-19	ann	\N	{"stage_id": [1, 2], "probability": [10, 25], "stage_entered_at": ["2026-11-30T13:54:41.713799+00:00", "2026-11-30T13:54:41.724807+00:00"]}	\N	\N	\N	1379	\N
58	49	20	3	stage_changed	2026-11-30 13:54:41.724817+00	postgres	postgres	live	1	1	4	open	open	2000	CHF	75	2026-12-21	ann	\N	{"stage_id": [1, 4], "probability": [10, 75], "stage_entered_at": ["2026-11-30T13:54:41.713812+00:00", "2026-11-30T13:54:41.724817+00:00"]}	\N	\N	\N	1379	\N
59	49	22	3	stage_changed	2026-11-30 13:54:41.724827+00	postgres	postgres	live	1	1	3	open	open	2200	USD	50	2026-12-23	ann	\N	{"stage_id": [1, 3], "probability": [10, 50], "stage_entered_at": ["2026-11-30T13:54:41.713824+00:00", "2026-11-30T13:54:41.724827+00:00"]}	\N	\N	\N	1379	\N
60	49	24	3	stage_changed	2026-11-30 13:54:41.724836+00	postgres	postgres	live	1	1	2	open	open	2400	EUR	25	2026-12-25	ann	\N	{"stage_id": [1, 2], "probability": [10, 25], "stage_entered_at": ["2026-11-30T13:54:41.713839+00:00", "2026-11-30T13:54:41.724836+00:00"]}	\N	\N	\N	1379	\N
61	61	7	3	lost	2026-11-30 13:54:41.72519+00	postgres	postgres	live	1	1	6	open	lost	700	USD	0	2026-12-08	bob	Price	{"status": ["open", "lost"], "stage_id": [1, 6], "closed_at": [null, "2026-11-30T13:54:41.72519+00:00"], "lost_reason": [null, "Price"], "probability": [10, 0], "stage_entered_at": ["2026-11-30T13:54:41.713727+00:00", "2026-11-30T13:54:41.72519+00:00"], "last_open_stage_id": [null, 1]}	\N	\N	\N	1380	\N
62	61	14	4	lost	2026-11-30 13:54:41.725276+00	postgres	postgres	live	1	4	6	open	lost	1400	CHF	0	2026-12-15	ann	Price	{"status": ["open", "lost"], "stage_id": [4, 6], "closed_at": [null, "2026-11-30T13:54:41.725276+00:00"], "lost_reason": [null, "Price"], "probability": [75, 0], "stage_entered_at": ["2026-11-30T13:54:41.724786+00:00", "2026-11-30T13:54:41.725276+00:00"], "last_open_stage_id": [null, 4]}	\N	\N	\N	1380	\N
64	64	3	3	stage_changed	2026-11-30 13:54:41.72679+00	postgres	postgres	live	1	1	4	open	open	300	EUR	75	2026-12-04	bob	\N	{"stage_id": [1, 4], "probability": [10, 75], "stage_entered_at": ["2026-11-30T13:54:41.713697+00:00", "2026-11-30T13:54:41.72679+00:00"]}	\N	\N	on	1381	\N
65	64	9	3	stage_changed	2026-11-30 13:54:41.726852+00	postgres	postgres	live	1	1	4	open	open	900	EUR	75	2026-12-10	bob	\N	{"stage_id": [1, 4], "probability": [10, 75], "stage_entered_at": ["2026-11-30T13:54:41.713739+00:00", "2026-11-30T13:54:41.726852+00:00"]}	\N	\N	on	1381	\N
66	64	6	4	stage_changed	2026-11-30 13:54:41.726867+00	postgres	postgres	live	1	2	4	open	open	600	EUR	75	2026-12-07	ann	\N	{"stage_id": [2, 4], "probability": [25, 75], "stage_entered_at": ["2026-11-30T13:54:41.724746+00:00", "2026-11-30T13:54:41.726867+00:00"]}	\N	\N	on	1381	\N
67	64	12	4	stage_changed	2026-11-30 13:54:41.726878+00	postgres	postgres	live	1	2	4	open	open	1200	EUR	75	2026-12-13	ann	\N	{"stage_id": [2, 4], "probability": [25, 75], "stage_entered_at": ["2026-11-30T13:54:41.724776+00:00", "2026-11-30T13:54:41.726878+00:00"]}	\N	\N	on	1381	\N
68	68	2	4	won	2026-11-30 13:54:41.729519+00	ann	postgres	live	1	4	5	open	won	200	CHF	100	2026-12-03	ann	\N	{"status": ["open", "won"], "stage_id": [4, 5], "closed_at": [null, "2026-11-30T13:54:41.729519+00:00"], "probability": [75, 100], "stage_entered_at": ["2026-11-30T13:54:41.72468+00:00", "2026-11-30T13:54:41.729519+00:00"], "last_open_stage_id": [null, 4]}	\N	\N	\N	1382	\N
69	68	4	4	won	2026-11-30 13:54:41.729583+00	ann	postgres	live	1	3	5	open	won	400	USD	100	2026-12-05	ann	\N	{"status": ["open", "won"], "stage_id": [3, 5], "closed_at": [null, "2026-11-30T13:54:41.729583+00:00"], "probability": [50, 100], "stage_entered_at": ["2026-11-30T13:54:41.724732+00:00", "2026-11-30T13:54:41.729583+00:00"], "last_open_stage_id": [null, 3]}	\N	\N	\N	1382	\N
70	70	25	1	created	2026-11-30 13:54:41.734815+00	postgres	postgres	live	2	\N	7	\N	open	\N	EUR	0	\N	\N	\N	{"id": [null, 25], "name": [null, "Gated one"], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 7], "created_at": [null, "2026-11-30T13:54:41.734815+00:00"], "updated_at": [null, "2026-11-30T13:54:41.734815+00:00"], "pipeline_id": [null, 2], "probability": [null, 0], "organization": [null, "acme"], "stage_entered_at": [null, "2026-11-30T13:54:41.734815+00:00"], "probability_overridden": [null, false]}	\N	\N	\N	1383	\N
71	70	26	1	created	2026-11-30 13:54:41.735176+00	postgres	postgres	live	2	\N	7	\N	open	200	EUR	0	\N	\N	\N	{"id": [null, 26], "name": [null, "Gated two"], "amount": [null, 200], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 7], "created_at": [null, "2026-11-30T13:54:41.735176+00:00"], "updated_at": [null, "2026-11-30T13:54:41.735176+00:00"], "pipeline_id": [null, 2], "probability": [null, 0], "organization": [null, "acme"], "stage_entered_at": [null, "2026-11-30T13:54:41.735176+00:00"], "probability_overridden": [null, false]}	\N	\N	\N	1383	\N
72	70	27	1	created	2026-11-30 13:54:41.735184+00	postgres	postgres	live	2	\N	7	\N	open	300	EUR	0	\N	\N	\N	{"id": [null, 27], "name": [null, "Gated three"], "amount": [null, 300], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 7], "created_at": [null, "2026-11-30T13:54:41.735184+00:00"], "updated_at": [null, "2026-11-30T13:54:41.735184+00:00"], "pipeline_id": [null, 2], "probability": [null, 0], "organization": [null, "acme"], "stage_entered_at": [null, "2026-11-30T13:54:41.735184+00:00"], "probability_overridden": [null, false]}	\N	\N	\N	1383	\N
73	73	27	2	stage_changed	2026-11-30 13:54:41.735806+00	postgres	postgres	live	2	7	8	open	open	300	EUR	40	\N	\N	\N	{"stage_id": [7, 8], "probability": [0, 40], "stage_entered_at": ["2026-11-30T13:54:41.735184+00:00", "2026-11-30T13:54:41.735806+00:00"]}	\N	\N	\N	1384	\N
74	74	26	2	abandoned	2026-11-30 13:54:41.736213+00	postgres	postgres	live	2	7	12	open	abandoned	200	EUR	0	\N	\N	\N	{"status": ["open", "abandoned"], "stage_id": [7, 12], "closed_at": [null, "2026-11-30T13:54:41.736213+00:00"], "stage_entered_at": ["2026-11-30T13:54:41.735176+00:00", "2026-11-30T13:54:41.736213+00:00"], "last_open_stage_id": [null, 7]}	\N	\N	override: because	1385	\N
75	75	28	1	created	2026-11-30 13:54:41.736502+00	postgres	postgres	live	3	\N	13	\N	open	\N	CHF	0	\N	\N	\N	{"id": [null, 28], "name": [null, "Listed one"], "status": [null, "open"], "version": [null, 1], "currency": [null, "CHF"], "stage_id": [null, 13], "created_at": [null, "2026-11-30T13:54:41.736502+00:00"], "updated_at": [null, "2026-11-30T13:54:41.736502+00:00"], "pipeline_id": [null, 3], "probability": [null, 0], "stage_entered_at": [null, "2026-11-30T13:54:41.736502+00:00"], "probability_overridden": [null, false]}	\N	\N	\N	1386	\N
76	76	5	3	updated	2026-11-30 13:54:41.736987+00	postgres	postgres	live	1	1	1	open	open	500	CHF	77	2026-12-06	bob	\N	{"probability": [10, 77], "probability_overridden": [false, true]}	\N	\N	\N	1387	\N
77	77	18	4	stage_changed	2026-11-30 13:54:41.739527+00	postgres	postgres	live	1	2	16	open	open	1800	EUR	30	2026-12-19	ann	\N	{"stage_id": [2, 16], "probability": [25, 30], "stage_entered_at": ["2026-11-30T13:54:41.724807+00:00", "2026-11-30T13:54:41.739527+00:00"]}	\N	\N	override: stage "Qualified" removed	1390	\N
78	77	24	4	stage_changed	2026-11-30 13:54:41.739899+00	postgres	postgres	live	1	2	16	open	open	2400	EUR	30	2026-12-25	ann	\N	{"stage_id": [2, 16], "probability": [25, 30], "stage_entered_at": ["2026-11-30T13:54:41.724836+00:00", "2026-11-30T13:54:41.739899+00:00"]}	\N	\N	override: stage "Qualified" removed	1390	\N
79	79	29	1	created	2026-11-30 13:54:41.740926+00	postgres	postgres	live	1	\N	1	\N	open	\N	EUR	10	\N	\N	\N	{"id": [null, 29], "name": [null, "Harbour office lease"], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 1], "created_at": [null, "2026-11-30T13:54:41.740926+00:00"], "updated_at": [null, "2026-11-30T13:54:41.740926+00:00"], "external_id": [null, "h1"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.740926+00:00"], "probability_overridden": [null, false]}	\N	\N	\N	1391	\N
80	79	30	1	created	2026-11-30 13:54:41.74127+00	postgres	postgres	live	1	\N	1	\N	open	\N	EUR	10	\N	\N	\N	{"id": [null, 30], "name": [null, "Harbour office leases"], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 1], "created_at": [null, "2026-11-30T13:54:41.74127+00:00"], "updated_at": [null, "2026-11-30T13:54:41.74127+00:00"], "external_id": [null, "h2"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.74127+00:00"], "probability_overridden": [null, false]}	\N	\N	\N	1391	\N
81	79	31	1	created	2026-11-30 13:54:41.741278+00	postgres	postgres	live	1	\N	1	\N	open	\N	EUR	10	\N	\N	\N	{"id": [null, 31], "name": [null, "Mountain railway maintenance"], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 1], "created_at": [null, "2026-11-30T13:54:41.741278+00:00"], "updated_at": [null, "2026-11-30T13:54:41.741278+00:00"], "external_id": [null, "m1"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.741278+00:00"], "probability_overridden": [null, false]}	\N	\N	\N	1391	\N
82	79	32	1	created	2026-11-30 13:54:41.741284+00	postgres	postgres	live	1	\N	1	\N	open	\N	EUR	10	\N	\N	\N	{"id": [null, 32], "name": [null, "Mountain railway maintenance."], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 1], "created_at": [null, "2026-11-30T13:54:41.741284+00:00"], "updated_at": [null, "2026-11-30T13:54:41.741284+00:00"], "external_id": [null, "m2"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.741284+00:00"], "probability_overridden": [null, false]}	\N	\N	\N	1391	\N
83	79	33	1	created	2026-11-30 13:54:41.741289+00	postgres	postgres	live	1	\N	1	\N	open	\N	EUR	10	\N	\N	\N	{"id": [null, 33], "name": [null, "Mountain Railway maintenance"], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 1], "created_at": [null, "2026-11-30T13:54:41.741289+00:00"], "updated_at": [null, "2026-11-30T13:54:41.741289+00:00"], "external_id": [null, "m3"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.741289+00:00"], "probability_overridden": [null, false]}	\N	\N	\N	1391	\N
84	84	32	2	merged	2026-11-30 13:54:41.74966+00	postgres	postgres	live	1	1	\N	open	\N	\N	\N	\N	\N	\N	\N	{"id": [32, null], "name": ["Mountain railway maintenance.", null], "status": ["open", null], "version": [1, null], "currency": ["EUR", null], "stage_id": [1, null], "created_at": ["2026-11-30T13:54:41.741284+00:00", null], "updated_at": ["2026-11-30T13:54:41.741284+00:00", null], "external_id": ["m2", null], "pipeline_id": [1, null], "probability": [10, null], "stage_entered_at": ["2026-11-30T13:54:41.741284+00:00", null], "probability_overridden": [false, null]}	\N	31	\N	1393	\N
85	85	23	3	deleted	2026-11-30 13:54:41.751718+00	postgres	postgres	live	1	1	\N	open	\N	\N	\N	\N	\N	\N	\N	{"id": [23, null], "name": ["Deal 37693cfc7480", null], "notes": ["note 23", null], "owner": ["bob", null], "amount": [2300, null], "status": ["open", null], "version": [2, null], "currency": ["CHF", null], "stage_id": [1, null], "account_id": ["00000000-0000-0000-0000-000000000004", null], "created_at": ["2026-10-02T08:00:00+00:00", null], "updated_at": ["2026-11-30T13:54:41.723719+00:00", null], "external_id": ["x23", null], "pipeline_id": [1, null], "probability": [10, null], "stage_entered_at": ["2026-11-30T13:54:41.713831+00:00", null], "custom_fields.plan": ["big", null], "primary_contact_id": [4, null], "custom_fields.seats": [23, null], "expected_close_date": ["2026-12-24", null], "probability_overridden": [false, null]}	\N	\N	\N	1394	\N
86	85	24	5	deleted	2026-11-30 13:54:41.751735+00	postgres	postgres	live	1	16	\N	open	\N	\N	\N	\N	\N	\N	\N	{"id": [24, null], "name": ["Deal 1ff1de774005", null], "notes": ["note 24", null], "owner": ["ann", null], "amount": [2400, null], "source": ["web", null], "status": ["open", null], "version": [4, null], "currency": ["EUR", null], "stage_id": [16, null], "account_id": ["00000000-0000-0000-0000-000000000005", null], "created_at": ["2026-10-02T09:00:00+00:00", null], "updated_at": ["2026-11-30T13:54:41.739899+00:00", null], "external_id": ["x24", null], "pipeline_id": [1, null], "probability": [30, null], "stage_entered_at": ["2026-11-30T13:54:41.739899+00:00", null], "custom_fields.plan": ["small", null], "primary_contact_id": [5, null], "custom_fields.seats": [24, null], "expected_close_date": ["2026-12-25", null], "probability_overridden": [false, null]}	\N	\N	\N	1394	\N
87	87	23	4	reverted	2026-11-30 13:54:41.755395+00	postgres	postgres	live	1	\N	1	\N	open	2300	CHF	10	2026-12-24	bob	\N	{"id": [null, 23], "name": [null, "Deal 37693cfc7480"], "notes": [null, "note 23"], "owner": [null, "bob"], "amount": [null, 2300], "status": [null, "open"], "version": [null, 4], "currency": [null, "CHF"], "stage_id": [null, 1], "account_id": [null, "00000000-0000-0000-0000-000000000004"], "created_at": [null, "2026-10-02T08:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.755395+00:00"], "external_id": [null, "x23"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713831+00:00"], "custom_fields.plan": [null, "big"], "primary_contact_id": [null, 4], "custom_fields.seats": [null, 23], "expected_close_date": [null, "2026-12-24"], "probability_overridden": [null, false]}	\N	\N	\N	1395	\N
88	88	1	3	updated	2026-11-30 13:54:41.756137+00	postgres	postgres	live	1	1	1	open	open	100	USD	10	2026-12-02	bob	\N	{"source": [null, "oops"]}	\N	\N	\N	1396	\N
89	88	3	4	updated	2026-11-30 13:54:41.756178+00	postgres	postgres	live	1	4	4	open	open	300	EUR	75	2026-12-04	bob	\N	{"source": [null, "oops"]}	\N	\N	\N	1396	\N
90	88	2	5	updated	2026-11-30 13:54:41.756187+00	postgres	postgres	live	1	5	5	won	won	200	CHF	100	2026-12-03	ann	\N	{"source": ["web", "oops"]}	\N	\N	\N	1396	\N
91	91	1	4	reverted	2026-11-30 13:54:41.759549+00	postgres	postgres	live	1	1	1	open	open	100	USD	10	2026-12-02	bob	\N	{"source": ["oops", null]}	\N	\N	\N	1397	\N
92	91	3	5	reverted	2026-11-30 13:54:41.759694+00	postgres	postgres	live	1	4	4	open	open	300	EUR	75	2026-12-04	bob	\N	{"source": ["oops", null]}	\N	\N	\N	1397	\N
93	91	2	6	reverted	2026-11-30 13:54:41.759752+00	postgres	postgres	live	1	5	5	won	won	200	CHF	100	2026-12-03	ann	\N	{"source": ["oops", "web"]}	\N	\N	\N	1397	\N
94	94	34	1	created	2026-11-30 13:54:41.77788+00	postgres	postgres	live	1	\N	1	\N	open	12	EUR	10	\N	\N	\N	{"id": [null, 34], "name": [null, "Roe Ltd"], "amount": [null, 12], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 1], "account_id": [null, "7ac20916-9ca2-43e2-b700-83e20ae8689d"], "created_at": [null, "2026-11-30T13:54:41.77788+00:00"], "updated_at": [null, "2026-11-30T13:54:41.77788+00:00"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.77788+00:00"], "primary_contact_id": [null, 6], "probability_overridden": [null, false]}	\N	\N	\N	1400	\N
95	95	35	1	created	2026-11-30 13:54:41.840434+00	postgres	postgres	import	1	\N	3	\N	open	12000	EUR	50	\N	\N	\N	{"id": [null, 35], "name": [null, "Imported"], "amount": [null, 12000], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 3], "created_at": [null, "2024-03-01T00:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.840434+00:00"], "external_id": [null, "erp-1"], "pipeline_id": [null, 1], "probability": [null, 50], "stage_entered_at": [null, "2026-11-30T13:54:41.840434+00:00"], "probability_overridden": [null, false]}	\N	\N	\N	1406	\N
21	1	21	1	created	2026-11-30 13:54:41.713818+00	postgres	postgres	live	1	\N	1	\N	open	2100	EUR	10	2026-12-22	\N	\N	{"id": [null, 21], "name": [null, "[redacted]"], "notes": [null, "[redacted]"], "amount": [null, 2100], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"], "stage_id": [null, 1], "created_at": [null, "2026-10-02T06:00:00+00:00"], "updated_at": [null, "2026-11-30T13:54:41.713818+00:00"], "external_id": [null, "x21"], "pipeline_id": [null, 1], "probability": [null, 10], "stage_entered_at": [null, "2026-11-30T13:54:41.713818+00:00"], "custom_fields.plan": [null, "[redacted]"], "custom_fields.seats": [null, "[redacted]"], "expected_close_date": [null, "2026-12-22"], "probability_overridden": [null, false]}	\N	\N	\N	1377	\N
45	25	21	2	updated	2026-11-30 13:54:41.723698+00	postgres	postgres	live	1	1	1	open	open	2100	EUR	10	2026-12-22	bob	\N	{"owner": [null, "bob"], "account_id": [null, "00000000-0000-0000-0000-000000000002"], "primary_contact_id": [null, 2]}	\N	\N	\N	1378	\N
96	96	21	4	redacted	2026-11-30 13:54:41.84931+00	postgres	postgres	live	1	6	6	lost	lost	2100	EUR	0	2026-12-22	bob	Price	{"name": ["[redacted]", "[redacted]"], "notes": ["[redacted]", "[redacted]"], "custom_fields.plan": ["[redacted]", "[redacted]"], "custom_fields.seats": ["[redacted]", null]}	\N	\N	asked for	1409	\N
63	61	21	3	lost	2026-11-30 13:54:41.725292+00	postgres	postgres	live	1	1	6	open	lost	2100	EUR	0	2026-12-22	bob	Price	{"status": ["open", "lost"], "stage_id": [1, 6], "closed_at": [null, "2026-11-30T13:54:41.725292+00:00"], "lost_reason": [null, "Price"], "probability": [10, 0], "stage_entered_at": ["2026-11-30T13:54:41.713818+00:00", "2026-11-30T13:54:41.725292+00:00"], "last_open_stage_id": [null, 1]}	\N	\N	\N	1380	\N
97	97	10	4	updated	2026-11-30 13:54:41.855059+00	postgres	postgres	live	1	3	3	open	open	1	USD	50	2026-12-11	ann	\N	{"amount": [1000, 1]}	\N	\N	\N	1410	doorbell
98	98	10	5	won	2026-11-30 13:54:41.86264+00	postgres	postgres	live	1	3	5	open	won	1	USD	100	2026-12-11	ann	\N	{"status": ["open", "won"], "stage_id": [3, 5], "closed_at": [null, "2026-11-30T13:54:41.86264+00:00"], "probability": [50, 100], "stage_entered_at": ["2026-11-30T13:54:41.724766+00:00", "2026-11-30T13:54:41.86264+00:00"], "last_open_stage_id": [null, 3]}	\N	\N	\N	1411	full
99	99	4	5	updated	2026-11-30 13:54:42.136583+00	postgres	postgres	live	1	5	5	won	won	400	USD	100	2026-12-05	ann	\N	{"tags": [["new"], ["a", "b"]], "share": [null, 50], "title": [null, "TITLE 4"], "Mixed Case": [null, 4.00], "campaign_id": [null, 1]}	\N	\N	\N	1481	\N
100	99	1	5	updated	2026-11-30 13:54:42.143307+00	postgres	postgres	live	1	1	1	open	open	100	USD	10	2026-12-02	bob	\N	{"tags": [["new"], ["a", "b"]], "share": [null, 50], "title": [null, "TITLE 1"], "Mixed Case": [null, 1.00], "campaign_id": [null, 1]}	\N	\N	\N	1481	\N
101	99	3	6	updated	2026-11-30 13:54:42.143371+00	postgres	postgres	live	1	4	4	open	open	300	EUR	75	2026-12-04	bob	\N	{"tags": [["new"], ["a", "b"]], "share": [null, 50], "title": [null, "TITLE 3"], "Mixed Case": [null, 3.00], "campaign_id": [null, 1]}	\N	\N	\N	1481	\N
102	99	2	7	updated	2026-11-30 13:54:42.143396+00	postgres	postgres	live	1	5	5	won	won	200	CHF	100	2026-12-03	ann	\N	{"tags": [["new"], ["a", "b"]], "share": [null, 50], "title": [null, "TITLE 2"], "Mixed Case": [null, 2.00], "campaign_id": [null, 1]}	\N	\N	\N	1481	\N
\.

COPY crm_deals.deal_name (deal_id, organization, name) FROM stdin;
1	\N	Deal c4ca4238a0b9
2	\N	Deal c81e728d9d4c
3	\N	Deal eccbc87e4b5c
4	\N	Deal a87ff679a2f3
5	\N	Deal e4da3b7fbbce
6	\N	Deal 1679091c5a88
7	\N	Deal 8f14e45fceea
8	\N	Deal c9f0f895fb98
9	\N	Deal 45c48cce2e2d
10	\N	Deal d3d9446802a4
11	\N	Deal 6512bd43d9ca
12	\N	Deal c20ad4d76fe9
13	\N	Deal c51ce410c124
14	\N	Deal aab3238922bc
15	\N	Deal 9bf31c7ff062
16	\N	Deal c74d97b01eae
17	\N	Deal 70efdf2ec9b0
18	\N	Deal 6f4922f45568
19	\N	Deal 1f0e3dad9990
20	\N	Deal 98f137082101
22	\N	Deal b6d767d2f8ed
25	acme	Gated one
26	acme	Gated two
27	acme	Gated three
28	\N	Listed one
29	\N	Harbour office lease
30	\N	Harbour office leases
31	\N	Mountain railway maintenance
33	\N	Mountain Railway maintenance
23	\N	Deal 37693cfc7480
34	\N	Roe Ltd
35	\N	Imported
21	\N	[redacted]
\.

COPY crm_deals.event_consumer (consumer, kinds, include_imports, subscribed_at, last_acked_at, seen, seen_id, upto, upto_id, delivered_id, unacked, leased, leased_until, contact_person) FROM stdin;
closed	{won,lost}	f	2026-11-30 13:54:41.709356+00	\N	1375:1376:1375	0	\N	\N	0	{}	0	\N	\N
asleep	\N	f	2026-11-30 13:54:41.71061+00	\N	1376:1376:	0	\N	\N	0	{}	0	\N	\N
leasing	\N	f	2026-11-30 13:54:41.709115+00	\N	1:1:	0	1415:1416:1415	98	10	{1,2,3,4,5,6,7,8,9,10}	10	2029-08-26 13:54:41.91539+00	\N
half	\N	f	2026-11-30 13:54:41.707943+00	2026-11-30 13:54:41.90879+00	1:1:	0	1413:1414:1413	98	40	{21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40}	0	\N	me
crm_deals dispatcher	\N	t	2026-11-30 13:54:41.862075+00	2026-11-30 13:54:41.876853+00	1487:1489:1487,1488	102	\N	\N	0	{}	0	\N	\N
\.

COPY crm_deals.exchange_rate (currency, base, rate, valid_from) FROM stdin;
USD	EUR	0.9	2026-01-01
CHF	EUR	1.05	2026-01-01
\.

COPY crm_deals.lead (id, organization, company_name, first_name, last_name, email, phone, status, source, owner, custom_fields, external_id, created_at, converted_at, account_id, contact_id, deal_id, score) FROM stdin;
2	\N	Poe & Sons	\N	Poe	\N	\N	new	\N	\N	{}	\N	2026-11-30 13:54:41.763117+00	\N	\N	\N	\N	7
1	\N	Roe Ltd	\N	Roe	roe@example.com	\N	converted	\N	\N	{"fair": "Basel"}	\N	2026-11-30 13:54:41.763117+00	2026-11-30 13:54:41.763473+00	7ac20916-9ca2-43e2-b700-83e20ae8689d	6	34	7
\.

COPY crm_deals.log_generation (id, generation, system_identifier, entered_at) FROM stdin;
1	0	7713960891946985782	2026-11-30 13:54:41.709356+00
\.

COPY crm_deals.log_pruning (id, horizon, pruned_at, pruned_by, events) FROM stdin;
\.

COPY crm_deals.lost_reason (id, pipeline_id, name, labels, is_active) FROM stdin;
1	1	Price	{}	t
2	1	Silence	{}	t
\.

COPY crm_deals.pipeline (id, organization, name, labels, description, is_active, is_default, currency, forbid_skipping, forbid_backward, forbid_unlisted, lost_reason_required, lost_reason_required_since, duplicate_policy, duplicate_threshold, duplicate_scope) FROM stdin;
1	\N	Sales	{}	the first	t	t	\N	f	f	f	t	2026-11-30 13:54:41.672893+00	flag	0.85	all
2	acme	Gated	{}	\N	t	t	\N	t	t	f	t	2026-11-30 13:54:41.679898+00	flag	0.85	all
3	\N	Listed	{}	\N	t	f	CHF	f	f	t	t	2026-11-30 13:54:41.695303+00	reject	0.85	open
\.

COPY crm_deals.stage (id, pipeline_id, key, name, labels, description, "position", status, probability, required_fields, rots_after, archived_at, colour) FROM stdin;
7	2	new	New	{"de": "Neu"}	\N	1	open	0	{}	2 days	\N	grey
8	2	offer	Offer	{}	\N	2	open	40	{amount}	\N	\N	grey
9	2	talks	Talks	{}	\N	3	open	60	{}	\N	\N	grey
10	2	won	Won	{}	\N	4	won	100	{}	\N	\N	grey
11	2	lost	Lost	{}	\N	5	lost	0	{}	\N	\N	grey
12	2	dropped	Dropped	{}	\N	6	abandoned	0	{}	\N	\N	grey
13	3	a	A	{}	\N	1	open	0	{}	\N	\N	grey
14	3	b	B	{}	\N	2	open	0	{}	\N	\N	grey
15	3	w	W	{}	\N	3	won	100	{}	\N	\N	grey
3	1	proposal	Proposal	{"de": "Angebot"}	\N	4	open	50	{}	\N	\N	grey
4	1	negotiation	In talks	{"de": "Verhandlung"}	\N	5	open	75	{}	\N	\N	grey
5	1	won	Won	{"de": "Gewonnen"}	\N	6	won	100	{}	\N	\N	grey
6	1	lost	Lost	{"de": "Verloren"}	\N	7	lost	0	{}	\N	\N	grey
16	1	trial	Trial	{}	\N	3	open	30	{amount}	\N	\N	grey
2	1	qualified	Qualified	{"de": "Qualifiziert"}	\N	2	open	25	{}	\N	2026-11-30 13:54:41.7384+00	grey
1	1	lead	Lead	{"de": "Lead"}	\N	1	open	10	{}	\N	\N	red
\.

COPY crm_deals.stage_name (stage_id, until, key, name) FROM stdin;
4	2026-11-30 13:54:41.737258+00	negotiation	Negotiation
\.

COPY crm_deals.stage_transition (id, from_stage_id, to_stage_id) FROM stdin;
1	13	14
2	\N	13
\.

COPY public.campaign (id, title) FROM stdin;
1	Spring
\.

COPY public.customer (id, company, keeper, more) FROM stdin;
00000000-0000-0000-0000-000000000001	Customer 1	\N	\N
00000000-0000-0000-0000-000000000002	Customer 2	\N	\N
00000000-0000-0000-0000-000000000003	Customer 3	\N	\N
00000000-0000-0000-0000-000000000004	Customer 4	\N	\N
00000000-0000-0000-0000-000000000005	Customer 5	\N	\N
7ac20916-9ca2-43e2-b700-83e20ae8689d	Roe Ltd	\N	\N
\.

COPY public.employee (login, full_name, mail) FROM stdin;
ann	Ann Ash	ann@example.com
bob	Bob Birch	\N
\.

COPY public.invoice (id, deal_id, stage_id, event_id) FROM stdin;
1	3	4	1
\.

COPY public.person (id, customer, given, family, mail) FROM stdin;
1	00000000-0000-0000-0000-000000000001	Jo	Doe Customer 1	jo1@example.com
2	00000000-0000-0000-0000-000000000002	Jo	Doe Customer 2	jo2@example.com
3	00000000-0000-0000-0000-000000000003	Jo	Doe Customer 3	jo3@example.com
4	00000000-0000-0000-0000-000000000004	Jo	Doe Customer 4	jo4@example.com
5	00000000-0000-0000-0000-000000000005	Jo	Doe Customer 5	jo5@example.com
6	7ac20916-9ca2-43e2-b700-83e20ae8689d	\N	Roe	roe@example.com
\.

SELECT pg_catalog.setval('crm_deals.activity_id_seq', 19, true);

SELECT pg_catalog.setval('crm_deals.custom_field_id_seq', 3, true);

SELECT pg_catalog.setval('crm_deals.deal_event_id_seq', 102, true);

SELECT pg_catalog.setval('crm_deals.deal_id_seq', 35, true);

SELECT pg_catalog.setval('crm_deals.lead_id_seq', 2, true);

SELECT pg_catalog.setval('crm_deals.log_generation_id_seq', 1, true);

SELECT pg_catalog.setval('crm_deals.log_pruning_id_seq', 1, false);

SELECT pg_catalog.setval('crm_deals.lost_reason_id_seq', 2, true);

SELECT pg_catalog.setval('crm_deals.pipeline_id_seq', 3, true);

SELECT pg_catalog.setval('crm_deals.stage_id_seq', 16, true);

SELECT pg_catalog.setval('crm_deals.stage_transition_id_seq', 2, true);

SELECT pg_catalog.setval('public.person_id_seq', 6, true);

ALTER TABLE ONLY crm_deals.activity
    ADD CONSTRAINT activity_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm_deals.custom_field
    ADD CONSTRAINT custom_field_once UNIQUE NULLS NOT DISTINCT (organization, entity, key);

ALTER TABLE ONLY crm_deals.custom_field
    ADD CONSTRAINT custom_field_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm_deals.deal_alias
    ADD CONSTRAINT deal_alias_pkey PRIMARY KEY (old_id);

ALTER TABLE ONLY crm_deals.deal_contact
    ADD CONSTRAINT deal_contact_pkey PRIMARY KEY (deal_id, contact_id);

ALTER TABLE ONLY crm_deals.deal_duplicate
    ADD CONSTRAINT deal_duplicate_pkey PRIMARY KEY (deal_id, other_deal_id);

ALTER TABLE ONLY crm_deals.deal_event
    ADD CONSTRAINT deal_event_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm_deals.deal_event
    ADD CONSTRAINT deal_event_version UNIQUE (deal_id, version);

ALTER TABLE ONLY crm_deals.deal_name
    ADD CONSTRAINT deal_name_pkey PRIMARY KEY (deal_id);

ALTER TABLE ONLY crm_deals.deal
    ADD CONSTRAINT deal_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm_deals.event_consumer
    ADD CONSTRAINT event_consumer_pkey PRIMARY KEY (consumer);

ALTER TABLE ONLY crm_deals.exchange_rate
    ADD CONSTRAINT exchange_rate_pkey PRIMARY KEY (currency, base, valid_from);

ALTER TABLE ONLY crm_deals.lead
    ADD CONSTRAINT lead_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm_deals.log_generation
    ADD CONSTRAINT log_generation_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm_deals.log_pruning
    ADD CONSTRAINT log_pruning_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm_deals.lost_reason
    ADD CONSTRAINT lost_reason_once UNIQUE (pipeline_id, name);

ALTER TABLE ONLY crm_deals.lost_reason
    ADD CONSTRAINT lost_reason_pkey PRIMARY KEY (id);

ALTER TABLE crm_deals.deal
    ADD CONSTRAINT my_dates CHECK ((expected_close_date > '1990-01-01'::date)) NOT VALID;

COMMENT ON CONSTRAINT my_dates ON crm_deals.deal IS 'my constraint';

ALTER TABLE ONLY crm_deals.stage
    ADD CONSTRAINT my_stage_name UNIQUE (pipeline_id, name);

ALTER TABLE ONLY crm_deals.pipeline
    ADD CONSTRAINT pipeline_organization_name UNIQUE NULLS NOT DISTINCT (organization, name);

ALTER TABLE ONLY crm_deals.pipeline
    ADD CONSTRAINT pipeline_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm_deals.stage
    ADD CONSTRAINT stage_id_pipeline UNIQUE (id, pipeline_id);

ALTER TABLE ONLY crm_deals.stage_name
    ADD CONSTRAINT stage_name_pkey PRIMARY KEY (stage_id, until);

ALTER TABLE ONLY crm_deals.stage
    ADD CONSTRAINT stage_pipeline_key UNIQUE (pipeline_id, key);

ALTER TABLE ONLY crm_deals.stage
    ADD CONSTRAINT stage_pipeline_position UNIQUE (pipeline_id, "position") DEFERRABLE;

ALTER TABLE ONLY crm_deals.stage
    ADD CONSTRAINT stage_pkey PRIMARY KEY (id);

ALTER TABLE ONLY crm_deals.stage_transition
    ADD CONSTRAINT stage_transition_once UNIQUE NULLS NOT DISTINCT (to_stage_id, from_stage_id);

ALTER TABLE ONLY crm_deals.stage_transition
    ADD CONSTRAINT stage_transition_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.campaign
    ADD CONSTRAINT campaign_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.customer
    ADD CONSTRAINT customer_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.employee
    ADD CONSTRAINT employee_pkey PRIMARY KEY (login);

ALTER TABLE ONLY public.invoice
    ADD CONSTRAINT invoice_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.person
    ADD CONSTRAINT person_pkey PRIMARY KEY (id);

CREATE INDEX activity_account ON crm_deals.activity USING btree (account_id) WHERE (account_id IS NOT NULL);

CREATE INDEX activity_contact ON crm_deals.activity USING btree (contact_id) WHERE (contact_id IS NOT NULL);

CREATE INDEX activity_deal ON crm_deals.activity USING btree (deal_id, occurred_at) WHERE (deal_id IS NOT NULL);

CREATE INDEX activity_lead ON crm_deals.activity USING btree (lead_id) WHERE (lead_id IS NOT NULL);

CREATE INDEX deal_account ON crm_deals.deal USING btree (account_id) WHERE (account_id IS NOT NULL);

CREATE INDEX deal_alias_deal ON crm_deals.deal_alias USING btree (deal_id);

CREATE INDEX deal_board ON crm_deals.deal USING btree (stage_id, stage_entered_at DESC, id DESC) INCLUDE (status, currency, probability, amount, expected_close_date);

CREATE INDEX deal_closed ON crm_deals.deal USING btree (closed_at) INCLUDE (status, stage_id, currency, amount) WHERE (closed_at IS NOT NULL);

CREATE INDEX deal_contact_contact ON crm_deals.deal_contact USING btree (contact_id);

CREATE INDEX deal_contact_id ON crm_deals.deal USING btree (primary_contact_id) WHERE (primary_contact_id IS NOT NULL);

CREATE INDEX deal_custom_plan ON crm_deals.deal USING btree (((custom_fields ->> 'plan'::text)));

CREATE INDEX deal_duplicate_other ON crm_deals.deal_duplicate USING btree (other_deal_id);

CREATE UNIQUE INDEX deal_duplicate_pair ON crm_deals.deal_duplicate USING btree (LEAST(deal_id, other_deal_id), GREATEST(deal_id, other_deal_id));

CREATE INDEX deal_event_occurred_at ON crm_deals.deal_event USING brin (occurred_at) WITH (pages_per_range='32', autosummarize='on');

CREATE INDEX deal_event_transaction ON crm_deals.deal_event USING btree (transaction, id);

CREATE UNIQUE INDEX deal_external_id ON crm_deals.deal USING btree (external_id, organization) NULLS NOT DISTINCT WHERE (external_id IS NOT NULL);

CREATE INDEX deal_name_signatures ON crm_deals.deal_name USING gin (crm_deals._signatures(organization, name, '0.85'::real, '1/15/UTF8/c/C.UTF-8/1.6/8874577481676637280'::text) crm_deals._signature_ops) WITH (fastupdate=off);

CREATE INDEX deal_owner ON crm_deals.deal USING btree (owner) WHERE (owner IS NOT NULL);

CREATE INDEX lead_account ON crm_deals.lead USING btree (account_id) WHERE (account_id IS NOT NULL);

CREATE INDEX lead_contact ON crm_deals.lead USING btree (contact_id) WHERE (contact_id IS NOT NULL);

CREATE INDEX lead_deal ON crm_deals.lead USING btree (deal_id) WHERE (deal_id IS NOT NULL);

CREATE UNIQUE INDEX lead_external_id ON crm_deals.lead USING btree (external_id, organization) NULLS NOT DISTINCT WHERE (external_id IS NOT NULL);

CREATE INDEX my_campaign ON crm_deals.deal USING btree (campaign_id) WHERE (campaign_id IS NOT NULL);

COMMENT ON INDEX crm_deals.my_campaign IS 'my index';

CREATE UNIQUE INDEX my_event ON crm_deals.deal_event USING btree (deal_id, id) INCLUDE (kind);

CREATE INDEX my_lower_name ON crm_deals.lead USING btree (lower(last_name), lower(first_name));

CREATE INDEX my_name ON crm_deals.deal USING gin (name public.gin_trgm_ops);

CREATE UNIQUE INDEX pipeline_default ON crm_deals.pipeline USING btree (organization) NULLS NOT DISTINCT WHERE is_default;

CREATE INDEX stage_name_until ON crm_deals.stage_name USING btree (until);

CREATE INDEX stage_transition_from ON crm_deals.stage_transition USING btree (from_stage_id);

CREATE UNIQUE INDEX my_sums_status ON public.my_sums USING btree (status);

CREATE STATISTICS public.my_statistics ON owner, source FROM crm_deals.deal;

CREATE TRIGGER crm_deals_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON crm_deals.deal_event FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._append_only();

CREATE TRIGGER crm_deals_begin BEFORE INSERT OR DELETE OR UPDATE ON crm_deals.deal FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._deal_begin();

CREATE TRIGGER crm_deals_begin BEFORE INSERT OR DELETE OR UPDATE ON crm_deals.pipeline FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._edit_begin();

CREATE TRIGGER crm_deals_begin BEFORE UPDATE ON crm_deals.stage FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._edit_begin();

CREATE TRIGGER crm_deals_capture_delete AFTER DELETE ON crm_deals.deal REFERENCING OLD TABLE AS old_deals FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._deal_capture();

CREATE TRIGGER crm_deals_capture_insert AFTER INSERT ON crm_deals.deal REFERENCING NEW TABLE AS new_deals FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._deal_capture();

CREATE TRIGGER crm_deals_capture_update AFTER UPDATE ON crm_deals.deal REFERENCING OLD TABLE AS old_deals NEW TABLE AS new_deals FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._deal_capture();

CREATE TRIGGER crm_deals_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON crm_deals.custom_field FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._forget_pipelines();

CREATE TRIGGER crm_deals_changed AFTER INSERT OR DELETE OR TRUNCATE ON crm_deals.event_consumer FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._forget_pipelines();

CREATE TRIGGER crm_deals_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON crm_deals.lost_reason FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._forget_pipelines();

CREATE TRIGGER crm_deals_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON crm_deals.pipeline FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._forget_pipelines();

CREATE TRIGGER crm_deals_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON crm_deals.stage FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._forget_pipelines();

CREATE TRIGGER crm_deals_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON crm_deals.stage_transition FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._forget_pipelines();

CREATE TRIGGER crm_deals_changing BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON crm_deals.custom_field FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._forget_pipelines();

CREATE TRIGGER crm_deals_changing BEFORE INSERT OR DELETE OR TRUNCATE ON crm_deals.event_consumer FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._forget_pipelines();

CREATE TRIGGER crm_deals_changing BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON crm_deals.lost_reason FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._forget_pipelines();

CREATE TRIGGER crm_deals_changing BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON crm_deals.pipeline FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._forget_pipelines();

CREATE TRIGGER crm_deals_changing BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON crm_deals.stage FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._forget_pipelines();

CREATE TRIGGER crm_deals_changing BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON crm_deals.stage_transition FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._forget_pipelines();

CREATE TRIGGER crm_deals_currency AFTER INSERT OR UPDATE ON crm_deals.exchange_rate FOR EACH ROW EXECUTE FUNCTION crm_deals._currency_rules();

CREATE TRIGGER crm_deals_custom_fields AFTER INSERT OR UPDATE ON crm_deals.lead FOR EACH ROW EXECUTE FUNCTION crm_deals._custom_field_rules();

CREATE TRIGGER crm_deals_default BEFORE INSERT OR UPDATE ON crm_deals.pipeline FOR EACH ROW WHEN (new.is_default) EXECUTE FUNCTION crm_deals._clear_other_default();

CREATE TRIGGER crm_deals_defaults BEFORE INSERT ON crm_deals.stage FOR EACH ROW EXECUTE FUNCTION crm_deals._stage_defaults();

CREATE TRIGGER crm_deals_lock BEFORE INSERT OR DELETE ON crm_deals.stage FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._lock_before_change();

CREATE TRIGGER crm_deals_lock BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON crm_deals.stage_transition FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._lock_before_change();

CREATE TRIGGER crm_deals_name AFTER UPDATE ON crm_deals.stage FOR EACH ROW WHEN (((old.key IS DISTINCT FROM new.key) OR (old.name IS DISTINCT FROM new.name))) EXECUTE FUNCTION crm_deals._keep_stage_name();

CREATE TRIGGER crm_deals_names_kept AFTER INSERT ON crm_deals.pipeline FOR EACH ROW WHEN ((new.duplicate_policy <> 'off'::text)) EXECUTE FUNCTION crm_deals._keep_names();

CREATE TRIGGER crm_deals_names_kept_or_not AFTER UPDATE ON crm_deals.pipeline FOR EACH ROW WHEN (((old.duplicate_policy = 'off'::text) <> (new.duplicate_policy = 'off'::text))) EXECUTE FUNCTION crm_deals._keep_names();

CREATE TRIGGER crm_deals_names_not_kept AFTER DELETE ON crm_deals.pipeline FOR EACH ROW WHEN ((old.duplicate_policy <> 'off'::text)) EXECUTE FUNCTION crm_deals._keep_names();

CREATE TRIGGER crm_deals_no_truncate BEFORE TRUNCATE ON crm_deals.deal FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._append_only();

CREATE TRIGGER crm_deals_rederive AFTER UPDATE ON crm_deals.stage REFERENCING OLD TABLE AS old_stages NEW TABLE AS new_stages FOR EACH STATEMENT EXECUTE FUNCTION crm_deals._rederive_deals();

CREATE TRIGGER crm_deals_rules_again AFTER INSERT OR UPDATE ON crm_deals.pipeline FOR EACH ROW EXECUTE FUNCTION crm_deals._pipeline_rules();

CREATE TRIGGER crm_deals_rules_again AFTER INSERT OR UPDATE ON crm_deals.stage FOR EACH ROW EXECUTE FUNCTION crm_deals._stage_rules();

CREATE TRIGGER my_log AFTER INSERT ON crm_deals.deal_event FOR EACH ROW EXECUTE FUNCTION public.nothing();

CREATE TRIGGER my_sleeping AFTER UPDATE ON crm_deals.stage FOR EACH STATEMENT EXECUTE FUNCTION public.nothing();

ALTER TABLE crm_deals.stage DISABLE TRIGGER my_sleeping;

CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION public.shout();

COMMENT ON TRIGGER shout ON crm_deals.deal IS 'my trigger';

CREATE TRIGGER zz_crm_deals_rules BEFORE INSERT OR UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION crm_deals._deal_rules();

CREATE TRIGGER zz_crm_deals_rules BEFORE INSERT OR UPDATE ON crm_deals.pipeline FOR EACH ROW EXECUTE FUNCTION crm_deals._pipeline_rules();

CREATE TRIGGER zz_crm_deals_rules BEFORE INSERT OR UPDATE ON crm_deals.stage FOR EACH ROW EXECUTE FUNCTION crm_deals._stage_rules();

ALTER TABLE ONLY crm_deals.activity
    ADD CONSTRAINT activity_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.customer(id);

ALTER TABLE ONLY crm_deals.activity
    ADD CONSTRAINT activity_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES public.person(id) ON DELETE SET NULL;

ALTER TABLE ONLY crm_deals.activity
    ADD CONSTRAINT activity_deal_id_fkey FOREIGN KEY (deal_id) REFERENCES crm_deals.deal(id) ON DELETE CASCADE;

ALTER TABLE ONLY crm_deals.activity
    ADD CONSTRAINT activity_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES crm_deals.lead(id) ON DELETE SET NULL;

ALTER TABLE ONLY crm_deals.deal
    ADD CONSTRAINT deal_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.customer(id);

ALTER TABLE ONLY crm_deals.deal_alias
    ADD CONSTRAINT deal_alias_deal_id_fkey FOREIGN KEY (deal_id) REFERENCES crm_deals.deal(id) ON DELETE CASCADE;

ALTER TABLE ONLY crm_deals.deal
    ADD CONSTRAINT deal_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES public.campaign(id);

ALTER TABLE ONLY crm_deals.deal_contact
    ADD CONSTRAINT deal_contact_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES public.person(id) ON DELETE CASCADE;

ALTER TABLE ONLY crm_deals.deal_contact
    ADD CONSTRAINT deal_contact_deal_id_fkey FOREIGN KEY (deal_id) REFERENCES crm_deals.deal(id) ON DELETE CASCADE;

ALTER TABLE ONLY crm_deals.deal_duplicate
    ADD CONSTRAINT deal_duplicate_deal_id_fkey FOREIGN KEY (deal_id) REFERENCES crm_deals.deal(id) ON DELETE CASCADE;

ALTER TABLE ONLY crm_deals.deal_duplicate
    ADD CONSTRAINT deal_duplicate_other_deal_id_fkey FOREIGN KEY (other_deal_id) REFERENCES crm_deals.deal(id) ON DELETE CASCADE;

ALTER TABLE ONLY crm_deals.deal
    ADD CONSTRAINT deal_owner_fkey FOREIGN KEY (owner) REFERENCES public.employee(login);

ALTER TABLE ONLY crm_deals.deal
    ADD CONSTRAINT deal_primary_contact_id_fkey FOREIGN KEY (primary_contact_id) REFERENCES public.person(id) ON DELETE SET NULL;

ALTER TABLE ONLY crm_deals.deal
    ADD CONSTRAINT deal_stage_fkey FOREIGN KEY (stage_id, pipeline_id) REFERENCES crm_deals.stage(id, pipeline_id);

ALTER TABLE ONLY crm_deals.lead
    ADD CONSTRAINT lead_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.customer(id);

ALTER TABLE ONLY crm_deals.lead
    ADD CONSTRAINT lead_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES public.person(id) ON DELETE SET NULL;

ALTER TABLE ONLY crm_deals.lead
    ADD CONSTRAINT lead_deal_id_fkey FOREIGN KEY (deal_id) REFERENCES crm_deals.deal(id) ON DELETE SET NULL;

ALTER TABLE ONLY crm_deals.lead
    ADD CONSTRAINT lead_owner_fkey FOREIGN KEY (owner) REFERENCES public.employee(login);

ALTER TABLE ONLY crm_deals.lost_reason
    ADD CONSTRAINT lost_reason_pipeline_id_fkey FOREIGN KEY (pipeline_id) REFERENCES crm_deals.pipeline(id) ON DELETE CASCADE;

ALTER TABLE ONLY crm_deals.stage
    ADD CONSTRAINT stage_pipeline_id_fkey FOREIGN KEY (pipeline_id) REFERENCES crm_deals.pipeline(id);

ALTER TABLE ONLY crm_deals.stage_transition
    ADD CONSTRAINT stage_transition_from_stage_id_fkey FOREIGN KEY (from_stage_id) REFERENCES crm_deals.stage(id) ON DELETE CASCADE;

ALTER TABLE ONLY crm_deals.stage_transition
    ADD CONSTRAINT stage_transition_to_stage_id_fkey FOREIGN KEY (to_stage_id) REFERENCES crm_deals.stage(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.customer
    ADD CONSTRAINT customer_keeper_fkey FOREIGN KEY (keeper) REFERENCES public.employee(login);

ALTER TABLE ONLY public.invoice
    ADD CONSTRAINT invoice_deal_id_fkey FOREIGN KEY (deal_id) REFERENCES crm_deals.deal(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.invoice
    ADD CONSTRAINT invoice_event_id_fkey FOREIGN KEY (event_id) REFERENCES crm_deals.deal_event(id);

ALTER TABLE ONLY public.invoice
    ADD CONSTRAINT invoice_stage_id_fkey FOREIGN KEY (stage_id) REFERENCES crm_deals.stage(id);

ALTER TABLE ONLY public.person
    ADD CONSTRAINT person_customer_fkey FOREIGN KEY (customer) REFERENCES public.customer(id);

ALTER TABLE crm_deals.activity ENABLE ROW LEVEL SECURITY;

CREATE POLICY crm_deals_visible_deal ON crm_deals.activity USING (((NOT ( SELECT row_security_active(('crm_deals.deal'::regclass)::oid) AS row_security_active)) OR (deal_id IS NULL) OR (EXISTS ( SELECT
   FROM crm_deals.deal d
  WHERE (d.id = activity.deal_id)))));

CREATE POLICY crm_deals_visible_deal ON crm_deals.deal_alias USING (((NOT ( SELECT row_security_active(('crm_deals.deal'::regclass)::oid) AS row_security_active)) OR (EXISTS ( SELECT
   FROM crm_deals.deal d
  WHERE (d.id = deal_alias.deal_id)))));

CREATE POLICY crm_deals_visible_deal ON crm_deals.deal_contact USING (((NOT ( SELECT row_security_active(('crm_deals.deal'::regclass)::oid) AS row_security_active)) OR (EXISTS ( SELECT
   FROM crm_deals.deal d
  WHERE (d.id = deal_contact.deal_id)))));

CREATE POLICY crm_deals_visible_deal ON crm_deals.deal_duplicate USING (((NOT ( SELECT row_security_active(('crm_deals.deal'::regclass)::oid) AS row_security_active)) OR ((EXISTS ( SELECT
   FROM crm_deals.deal d
  WHERE (d.id = deal_duplicate.deal_id))) AND (EXISTS ( SELECT
   FROM crm_deals.deal d
  WHERE (d.id = deal_duplicate.other_deal_id))))));

CREATE POLICY crm_deals_visible_deal ON crm_deals.deal_event USING (((NOT ( SELECT row_security_active(('crm_deals.deal'::regclass)::oid) AS row_security_active)) OR (EXISTS ( SELECT
   FROM crm_deals.deal d
  WHERE (d.id = deal_event.deal_id)))));

ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;

ALTER TABLE crm_deals.deal_alias ENABLE ROW LEVEL SECURITY;

ALTER TABLE crm_deals.deal_contact ENABLE ROW LEVEL SECURITY;

ALTER TABLE crm_deals.deal_duplicate ENABLE ROW LEVEL SECURITY;

ALTER TABLE crm_deals.deal_event ENABLE ROW LEVEL SECURITY;

ALTER TABLE crm_deals.lead ENABLE ROW LEVEL SECURITY;

CREATE POLICY my_deals ON crm_deals.deal USING (((owner IS NULL) OR (owner = CURRENT_USER) OR (CURRENT_USER <> 'reader'::name)));

COMMENT ON POLICY my_deals ON crm_deals.deal IS 'my policy';

CREATE POLICY my_leads ON crm_deals.lead AS RESTRICTIVE FOR SELECT TO clerk USING ((status <> 'converted'::text));

CREATE POLICY my_leads_too ON crm_deals.lead USING (true) WITH CHECK (((email IS NOT NULL) OR (email IS NULL)));

CREATE PUBLICATION my_publication WITH (publish = 'insert, update, delete, truncate');

ALTER PUBLICATION my_publication ADD TABLE ONLY crm_deals.deal;

ALTER PUBLICATION my_publication ADD TABLE ONLY crm_deals.deal_event;

GRANT USAGE ON SCHEMA crm_deals TO clerk;
GRANT USAGE ON SCHEMA crm_deals TO visitor;

GRANT ALL ON FUNCTION crm_deals._account_of_contact(contact text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._account_of_lead(lead jsonb, contact text, use_account text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._as_columns(entity text, fields jsonb, columns jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._board_sums_add(sums internal, currency text, amount numeric, probability numeric) TO clerk;

GRANT ALL ON FUNCTION crm_deals._board_sums_result(sums internal) TO clerk;

GRANT ALL ON FUNCTION crm_deals._bounds(key text, given jsonb, lower_key text, upper_key text, type text, OUT lower_bound text, OUT upper_bound text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._broken_rules(deal anyelement, to_stage_id bigint, lost_reason text, override boolean) TO clerk;

GRANT ALL ON FUNCTION crm_deals._cards(deals bigint[]) TO clerk;

GRANT ALL ON FUNCTION crm_deals._check_card_limit(card_limit integer) TO clerk;

GRANT ALL ON FUNCTION crm_deals._check_deal_argument(deal jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._check_import_columns(source regclass, names text[], wanted text[], with_custom_fields boolean) TO clerk;

GRANT ALL ON FUNCTION crm_deals._check_import_references(given text[]) TO clerk;

GRANT ALL ON FUNCTION crm_deals._check_installed() TO clerk;

GRANT ALL ON FUNCTION crm_deals._check_moment(at timestamp with time zone) TO clerk;

GRANT ALL ON FUNCTION crm_deals._check_period(period text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._column_before(name text, type oid) TO clerk;

GRANT ALL ON FUNCTION crm_deals._complete(deal bigint, duplicate jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._contact_of_lead(lead jsonb, use_contact text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._converted(amount numeric, times numeric, per numeric) TO clerk;

GRANT ALL ON FUNCTION crm_deals._create_account(lead jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._create_contact(lead jsonb, account text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._create_from_lead(entity text, lead jsonb, fields jsonb, essential text[]) TO clerk;

GRANT ALL ON FUNCTION crm_deals._custom_fields_before(custom_fields jsonb, changes jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._deal_columns() TO clerk;

GRANT ALL ON FUNCTION crm_deals._deal_field(key text, organization text, OUT type text, OUT options jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._deal_of_lead(lead jsonb, deal jsonb, account text, contact text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._deals_before(at timestamp with time zone) TO clerk;

GRANT ALL ON FUNCTION crm_deals._default_pipeline() TO clerk;

GRANT ALL ON FUNCTION crm_deals._empty_groups(by text, organization text, period text, first_day date, last_day date) TO clerk;

GRANT ALL ON FUNCTION crm_deals._enter_as_writer() TO clerk;

GRANT ALL ON FUNCTION crm_deals._existing_key(entity text, key text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._field_condition(key text, wanted jsonb, organization text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._filled(value text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._filter_condition(filter jsonb, organization text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._find_account(lead jsonb, contact text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._find_contact(lead jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._find_pipeline(pipeline text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._find_stage(pipeline bigint, stage text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._given_key(entity text, key text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._group_columns(pipeline_id bigint, group_by text, card_limit integer, filter jsonb, language text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._grouping(group_by text, language text, OUT group_key text, OUT joined text, OUT group_label text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._hide_later(later jsonb, earlier jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._host(entity text, OUT host regclass, OUT key_column text, OUT key_type text, OUT columns jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_as(actor text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_assignments(given text[]) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_check_free() TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_check_rights() TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_columns(source regclass, names text[], types text[]) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_create_accounts(OUT insert text, OUT assign text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_deal_columns() TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_deals(source regclass, history regclass, gates boolean, create_accounts boolean) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_default_pipeline(organization text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_expression(name text, type text, source_type text, careful boolean) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_field(type text, value jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_fields(fields jsonb, organization text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_fields_expression(names text[], are_texts boolean[]) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_filled(expression text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_find_suppressed(low bigint, high bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_find_twice(chosen bigint[]) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_history(history regclass) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_history_columns() TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_insert(given text[], OUT columns text, OUT query text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_is_fatal(state text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_job(given text[], create_accounts boolean, gates boolean) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_judge(job jsonb, low bigint, high bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_judge_names(low bigint, high bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_lock() TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_merged(there jsonb, fields jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_names(entity text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_names_wanted(entity text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_own_columns(given text[]) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_pipeline(pipeline text, organization text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_pipelines() TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_query(source regclass, names text[], types text[], careful boolean) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_refuse(chosen bigint, problem text, is_taken boolean) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_repeat(given text[], create_accounts boolean, job jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_resolve(given text[], create_accounts boolean, chosen bigint[]) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_result() TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_rows_table() TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_similar(low bigint, high bigint, threshold real, renamed bigint[], moved bigint[]) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_stage(staging text, source regclass, names text[], types text[]) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_steps(given text[]) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_update(given text[], OUT assignments text, OUT changes text, OUT query text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_write(job jsonb, low bigint, high bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_write_changes(job jsonb, low bigint, high bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_write_history(low bigint, high bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_write_new(job jsonb, low bigint, high bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals._import_write_range(job jsonb, low bigint, high bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals._inherited_fields(lead jsonb, entity text, organization text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._insert_deal(deal jsonb, actor text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._insert_row(relation regclass, key_column text, columns jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._is_currency(code text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._key_by(entity text, field text, expression text, value text, organization text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._known_groups(group_by text, organization text, language text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._label(labels jsonb, name text, language text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._label_of_account(account text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._lead_to_convert(lead bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals._lock_new(entity text, organization text, value text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._lock_to_merge(survivor bigint, duplicate bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals._mappable() TO clerk;

GRANT ALL ON FUNCTION crm_deals._mark_converted(lead bigint, account text, contact text, deal bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals._merge_deals(survivor bigint, duplicate bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals._move(deal_ids bigint[], to_stage_id bigint, note text, actor text, lost_reason text, override text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._moved_subject(from_stage text, to_stage text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._name_of_deal(lead jsonb, account text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._names_person(lead jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._next_deal_id() TO clerk;

GRANT ALL ON FUNCTION crm_deals._one_of(expression text, key text, wanted jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._organization_of(pipeline_id bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals._organization_of_start(start jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._page_condition(after jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._period_start(period text, day date) TO clerk;

GRANT ALL ON FUNCTION crm_deals._periods(period text, first_day date, last_day date) TO clerk;

GRANT ALL ON FUNCTION crm_deals._person_name(lead jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._pipeline_for(pipeline text, organization text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._primary_key(host regclass) TO clerk;

GRANT ALL ON FUNCTION crm_deals._pruning_horizon() TO clerk;

GRANT ALL ON FUNCTION crm_deals._raise_refused(entity text, state text, message text, detail text, table_name text, column_name text, constraint_name text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._raise_unknown_pipeline(pipeline text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._raise_unknown_stage(stage text, pipeline bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals._rate(currency text, convert_to text, at date, OUT times numeric, OUT per numeric) TO clerk;

GRANT ALL ON FUNCTION crm_deals._rate_of_pair(currency text, base text, at date, OUT times numeric, OUT per numeric) TO clerk;

GRANT ALL ON FUNCTION crm_deals._record_columns(relation regclass, fields text[], OUT names text, OUT definitions text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._references_to_deal() TO clerk;

GRANT ALL ON FUNCTION crm_deals._refuse_filter(problem text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._repoint(survivor bigint, duplicate bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals._report_scope(by text, period text, pipeline text, filter jsonb, OUT group_key text, OUT joined text, OUT group_label text, OUT condition text, OUT pipeline_id bigint, OUT organization text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._similar_deals(name text, threshold real, max_results integer, pipeline bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals._similarity(a text, b text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._stage_columns(pipeline_id bigint, card_limit integer, filter jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._stages_of(pipeline_id bigint, statuses text[]) TO clerk;

GRANT ALL ON FUNCTION crm_deals._start_of_deal(deal jsonb, organization text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._try_cast(value text, INOUT kind anyelement) TO clerk;

GRANT ALL ON FUNCTION crm_deals._try_table(entity text, step text, lead jsonb, other text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._values_lacking(survivor jsonb, duplicate jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals._way_out(entity text) TO clerk;

GRANT ALL ON FUNCTION crm_deals._why_not(old anyelement, new anyelement, gates boolean) TO clerk;

GRANT ALL ON FUNCTION crm_deals._within_days(expression text, from_day date, to_day date) TO clerk;

GRANT ALL ON FUNCTION crm_deals._wrong_custom_fields(pipeline_id bigint, old jsonb, new jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals.board(pipeline text, group_by text, card_limit integer, filter jsonb, language text) TO clerk;
GRANT ALL ON FUNCTION crm_deals.board(pipeline text, group_by text, card_limit integer, filter jsonb, language text) TO visitor;

GRANT ALL ON FUNCTION crm_deals.board_cards(pipeline text, column_key text, group_by text, after jsonb, card_limit integer, filter jsonb, language text) TO clerk;

GRANT ALL ON FUNCTION crm_deals.check_move(deal bigint, to_stage text, lost_reason text) TO clerk;
GRANT ALL ON FUNCTION crm_deals.check_move(deal bigint, to_stage text, lost_reason text) TO visitor WITH GRANT OPTION;

GRANT ALL ON FUNCTION crm_deals.convert_lead(lead bigint, create_deal boolean, deal jsonb, use_account text, use_contact text, actor text, OUT account_id text, OUT contact_id text, OUT deal_id bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals.deals_as_of(at timestamp with time zone) TO clerk;
GRANT ALL ON FUNCTION crm_deals.deals_as_of(at timestamp with time zone) TO visitor;

GRANT ALL ON FUNCTION crm_deals.dismiss_duplicate(deal_id bigint, other_deal_id bigint, actor text) TO clerk;

GRANT ALL ON FUNCTION crm_deals.find_duplicates(name text, threshold real, max_results integer, pipeline text) TO clerk;
GRANT ALL ON FUNCTION crm_deals.find_duplicates(name text, threshold real, max_results integer, pipeline text) TO visitor;

GRANT ALL ON FUNCTION crm_deals.forecast(pipeline text, convert_to text, from_date date, to_date date, filter jsonb, group_by text, as_of timestamp with time zone) TO clerk;
GRANT ALL ON FUNCTION crm_deals.forecast(pipeline text, convert_to text, from_date date, to_date date, filter jsonb, group_by text, as_of timestamp with time zone) TO visitor;

GRANT ALL ON FUNCTION crm_deals.import_deals(source regclass, history regclass, gates boolean, create_accounts boolean, actor text) TO clerk;

GRANT ALL ON FUNCTION crm_deals.lost_reasons(by text, period text, from_date date, to_date date, pipeline text, filter jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals.merge_deals(survivor bigint, duplicate bigint, actor text) TO clerk;

GRANT ALL ON FUNCTION crm_deals.move_deal(deal bigint, to_stage_id bigint, note text, actor text, lost_reason text, expected_version integer, override text, OUT deal_id bigint, OUT pipeline_id bigint, OUT stage_id bigint, OUT stage_key text, OUT status text, OUT probability numeric, OUT closed_at timestamp with time zone, OUT version integer, OUT event_id bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals.move_deal(deal bigint, to_stage text, note text, actor text, lost_reason text, expected_version integer, override text, OUT deal_id bigint, OUT pipeline_id bigint, OUT stage_id bigint, OUT stage_key text, OUT status text, OUT probability numeric, OUT closed_at timestamp with time zone, OUT version integer, OUT event_id bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals.move_deals(deal_ids bigint[], to_stage text, note text, actor text, lost_reason text, override text) TO clerk;

GRANT ALL ON FUNCTION crm_deals.pipeline_summary(by text, period text, from_date date, to_date date, pipeline text, filter jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals.read_events(consumer text, max_events integer, lease interval) TO visitor;

GRANT ALL ON FUNCTION crm_deals.resolve_deal(deal_id bigint) TO clerk;

GRANT ALL ON FUNCTION crm_deals.sales_velocity(by text, period text, from_date date, to_date date, pipeline text, filter jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals.scan_duplicates(threshold real) TO clerk;

GRANT ALL ON FUNCTION crm_deals.stage_conversion(by text, period text, from_date date, to_date date, pipeline text, filter jsonb) TO clerk;

GRANT ALL ON FUNCTION crm_deals.start_dispatcher() TO clerk;

GRANT ALL ON FUNCTION crm_deals.verify() TO clerk;
GRANT ALL ON FUNCTION crm_deals.verify() TO PUBLIC;

GRANT ALL ON FUNCTION crm_deals.win_rate(by text, period text, from_date date, to_date date, pipeline text, filter jsonb) TO clerk;
GRANT ALL ON FUNCTION crm_deals.win_rate(by text, period text, from_date date, to_date date, pipeline text, filter jsonb) TO visitor;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE crm_deals.deal TO clerk;

GRANT SELECT(id) ON TABLE crm_deals.deal TO visitor;

GRANT SELECT(name) ON TABLE crm_deals.deal TO visitor;

GRANT UPDATE(notes) ON TABLE crm_deals.deal TO visitor;

GRANT SELECT(status) ON TABLE crm_deals.deal TO visitor;

GRANT SELECT(campaign_id) ON TABLE crm_deals.deal TO visitor;

GRANT ALL ON FUNCTION crm_deals._board_sums(text, numeric, numeric) TO clerk;

GRANT ALL ON FUNCTION crm_deals._first_changes(jsonb) TO clerk;

GRANT SELECT(id) ON TABLE public.customer TO clerk;

GRANT SELECT(company),INSERT(company) ON TABLE public.customer TO clerk;

GRANT SELECT(keeper),INSERT(keeper) ON TABLE public.customer TO clerk;

GRANT SELECT(more),INSERT(more) ON TABLE public.customer TO clerk;

GRANT SELECT ON TABLE crm_deals._account TO clerk;

GRANT SELECT(id) ON TABLE public.person TO clerk;

GRANT SELECT(customer),INSERT(customer) ON TABLE public.person TO clerk;

GRANT SELECT(given),INSERT(given) ON TABLE public.person TO clerk;

GRANT SELECT(family),INSERT(family) ON TABLE public.person TO clerk;

GRANT SELECT(mail),INSERT(mail) ON TABLE public.person TO clerk;

GRANT SELECT ON TABLE crm_deals._contact TO clerk;

GRANT SELECT(login) ON TABLE public.employee TO clerk;

GRANT SELECT(full_name) ON TABLE public.employee TO clerk;

GRANT SELECT ON TABLE crm_deals._owner TO clerk;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE crm_deals.activity TO clerk;
GRANT SELECT,INSERT ON TABLE crm_deals.activity TO visitor;

GRANT SELECT(consumer) ON TABLE crm_deals.event_consumer TO reader;

GRANT SELECT ON TABLE crm_deals.custom_field TO clerk;

GRANT SELECT ON TABLE crm_deals.deal_alias TO clerk;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE crm_deals.deal_contact TO clerk;

GRANT SELECT ON TABLE crm_deals.deal_duplicate TO clerk;

GRANT SELECT ON TABLE crm_deals.deal_event TO clerk;

GRANT SELECT ON TABLE crm_deals.pipeline TO clerk;
GRANT SELECT ON TABLE crm_deals.pipeline TO visitor WITH GRANT OPTION;

GRANT SELECT ON TABLE crm_deals.stage TO clerk;
GRANT SELECT ON TABLE crm_deals.stage TO visitor WITH GRANT OPTION;

GRANT SELECT ON TABLE crm_deals.deal_overview TO clerk;
GRANT SELECT ON TABLE crm_deals.deal_overview TO visitor;

GRANT SELECT ON TABLE crm_deals.deal_stage_history TO clerk;

GRANT SELECT ON TABLE crm_deals.exchange_rate TO clerk;

GRANT SELECT,INSERT ON TABLE crm_deals.installation TO clerk;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE crm_deals.lead TO clerk;

GRANT SELECT ON TABLE crm_deals.log_generation TO clerk;

GRANT SELECT ON TABLE crm_deals.log_pruning TO clerk;

GRANT SELECT ON TABLE crm_deals.lost_reason TO clerk;

GRANT SELECT ON SEQUENCE crm_deals.pipeline_id_seq TO visitor;

GRANT SELECT ON TABLE crm_deals.stage_name TO clerk;

GRANT SELECT ON TABLE crm_deals.stage_transition TO clerk;

GRANT SELECT ON TABLE crm_deals.stale_deals TO clerk;
GRANT SELECT ON TABLE crm_deals.stale_deals TO visitor;

GRANT SELECT ON TABLE public.my_deals TO visitor;

GRANT SELECT ON TABLE public.my_overview TO visitor;

REFRESH MATERIALIZED VIEW public.my_sums;


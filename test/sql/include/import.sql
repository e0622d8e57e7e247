-- What import_deals() says of each row: 'a created; b rejected: why'. "rows" has an object for each line.
CREATE FUNCTION t.import(rows text, arguments text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('SELECT string_agg(concat_ws('' '', coalesce(i.external_id, i.row_number::text), i.outcome '
                   '|| coalesce('': '' || replace(i.detail, E''\n'', '' ''), '''')), ''; '' ORDER BY i.row_number) '
                   'FROM crm_deals.import_deals(rows => %L%s) AS i', rows, arguments) INTO result;
    RETURN result;
END
$$;
-- A deal as it is in the end: stage, status, amount, reason, and when it was made, closed and entered its stage, in UTC.
CREATE FUNCTION t.imported(wanted text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', s.key, d.status, d.amount, d.lost_reason, 'made ' || t.moment(d.created_at),
                     'closed ' || t.moment(d.closed_at), 'in it since ' || t.moment(d.stage_entered_at))
    FROM crm_deals.deal AS d JOIN crm_deals.stage AS s ON s.id = d.stage_id
    WHERE d.external_id = wanted
$$;

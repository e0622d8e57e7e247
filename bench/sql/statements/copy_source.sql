-- The files that COPY reads: what an application knows of the deals :first to :last, and with what the rules derive.
COPY (SELECT public.deal_name(n), 1 + n % 10000, 1 + n * 7 % 10000, 100 + n % 90000,
             date '2027-01-01' + (n % 365)::integer, 'owner ' || n % 200, 'web', 'erp-' || n
      FROM generate_series(:first::bigint, :last) AS n) TO :'plain' (FORMAT csv);
COPY (SELECT public.deal_name(n), 1 + n % 10000, 1 + n * 7 % 10000, 100 + n % 90000,
             date '2027-01-01' + (n % 365)::integer, 'owner ' || n % 200, 'web', 'erp-' || n, 1, 1, 'open', 'EUR', 10,
             now(), now(), now()
      FROM generate_series(:first::bigint, :last) AS n) TO :'derived' (FORMAT csv);

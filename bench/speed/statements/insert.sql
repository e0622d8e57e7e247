-- One deal more, of a name like the others.
\set n random(1, 1000000000)
INSERT INTO crm_deals.deal (name, account_id, primary_contact_id, amount, expected_close_date, owner, source)
VALUES ((ARRAY['Alpen', 'Nord', 'Hanse', 'Donau', 'Elbe', 'Rhein', 'Havel', 'Isar', 'Weser', 'Saale', 'Lausitz', 'Harz'])[1 + :n % 12]
            || (ARRAY['werk', 'rad', 'bau', 'glas', 'stahl', 'holz', 'kraft', 'bank', 'mode', 'papier', 'technik'])[1 + :n % 11]
            || (ARRAY[' GmbH: ', ' AG: ', ' KG: ', ' SE: ', ' & Partner: ', ' Holding: ', ' eG: '])[1 + :n % 7]
            || (ARRAY['renewal', 'roll-out', 'migration', 'retrofit', 'licences', 'support contract', 'pilot', 'training'])[1 + :n / 7 % 8]
            || (ARRAY[' phase ', ' site ', ' region ', ' year ', ' lot '])[1 + :n % 5] || to_hex(:n::bigint), 1 + :n % 10000, 1 + :n % 9999, :n::numeric, '2027-03-01', 'owner ' || :n % 200, 'web');

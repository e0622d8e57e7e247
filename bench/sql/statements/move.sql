-- The sides that have triggers: one move a transaction. Each client picks among deals of its own; with :once = 1 it
-- takes deal after deal, scattered over the table (7919 is a prime).
\set place :place + 1
\set deal case when :once = 1 then 1 + (:place * 7919) % :deals else :client_id * :own + random(1, :own) end
UPDATE crm_deals.deal SET stage_id = 5 - stage_id WHERE id = :deal;

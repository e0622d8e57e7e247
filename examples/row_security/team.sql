-- Everyone sees the deals of their team; who is in which team stands in a table.
CREATE TABLE IF NOT EXISTS team_member (
    team   text NOT NULL,
    member name NOT NULL,
    PRIMARY KEY (member, team)
);
GRANT SELECT ON team_member TO PUBLIC;

ALTER TABLE crm_deals.deal ADD COLUMN IF NOT EXISTS team text;
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;

CREATE POLICY team_deals ON crm_deals.deal
    USING (team IN (SELECT m.team FROM team_member AS m WHERE m.member = current_user))
    WITH CHECK (team IN (SELECT m.team FROM team_member AS m WHERE m.member = current_user));

-- Nobody but who creates the extension may execute anything; grant_access() gives it on.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA crm_deals FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA crm_deals TO @extowner@ WITH GRANT OPTION;

-- Before the life of a deal, second way: a database that has customers, people and users already,
-- with keys of type uuid. Run by the owner of the database; then setup.sql.
CREATE TABLE customers (
    customer_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    company     text NOT NULL,
    city        text
);
CREATE TABLE people (
    person_id   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id uuid REFERENCES customers,
    given_name  text,
    family_name text,
    mail        text UNIQUE
);
CREATE TABLE users (
    user_id     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name        text NOT NULL
);

CREATE EXTENSION IF NOT EXISTS crm_deals CASCADE;
SELECT crm_deals.install('customers', 'people', 'users', '{
    "account": {"name": "company"},
    "contact": {"first_name": "given_name", "last_name": "family_name", "email": "mail",
                "account_id": "customer_id"}}');

-- The tables of the goldens, and the rows that the first snapshot finds.

-- Rows ------------------------------------------------------------------------------------------------------------

-- REPLICA IDENTITY DEFAULT: a delete carries the key and made-up values for the rest.
CREATE TABLE users (
    id int PRIMARY KEY,
    email text NOT NULL,
    nickname text,
    age int DEFAULT 18,
    role text NOT NULL DEFAULT 'reader',
    active bool NOT NULL DEFAULT true,
    balance numeric(10, 2) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    token uuid NOT NULL DEFAULT gen_random_uuid(),
    settings jsonb NOT NULL DEFAULT '{}',
    tags text[] NOT NULL DEFAULT '{}'
);
INSERT INTO users (id, email, balance) VALUES (1, 'ada@example.org', 12.34), (2, 'bob@example.org', 0);

CREATE TABLE users_full (LIKE users INCLUDING ALL);
ALTER TABLE users_full REPLICA IDENTITY FULL;
INSERT INTO users_full (id, email, balance) VALUES (1, 'ada@example.org', 12.34);

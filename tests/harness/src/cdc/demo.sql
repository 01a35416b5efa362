-- The tables of `harness cdc`. A table whose old rows matter needs REPLICA IDENTITY FULL.

CREATE TABLE users (
    id bigint PRIMARY KEY,
    email text NOT NULL UNIQUE,
    name text,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE orders (
    id bigint PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users,
    total numeric(12, 2) NOT NULL,
    status text NOT NULL DEFAULT 'new',
    placed_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE orders REPLICA IDENTITY FULL;

INSERT INTO users (id, email, name) VALUES (1, 'bob@example.org', 'Bob');
INSERT INTO orders (id, user_id, total) VALUES (1, 1, 12.34);

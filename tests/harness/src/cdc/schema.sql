-- The tables of the goldens, and the rows that the first snapshot finds.

CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE EXTENSION ltree;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE address AS (street text, house int);

-- Rows: identities, keys, operations -------------------------------------------------------------------------------

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

-- What a delete under REPLICA IDENTITY DEFAULT makes up for each type that is NOT NULL and has no default.
CREATE TABLE strict (
    id int PRIMARY KEY,
    b bool NOT NULL, i2 smallint NOT NULL, i8 bigint NOT NULL, r real NOT NULL, f double precision NOT NULL,
    n numeric(10, 2) NOT NULL, unscaled numeric NOT NULL, m money NOT NULL,
    t text NOT NULL, c char(3) NOT NULL, u uuid NOT NULL, j json NOT NULL, jb jsonb NOT NULL, x xml NOT NULL,
    e mood NOT NULL, ip inet NOT NULL, rng int4range NOT NULL, h hstore NOT NULL, by bytea NOT NULL,
    bits bit(8) NOT NULL, d date NOT NULL, tm time NOT NULL, tmz timetz NOT NULL, ts timestamp NOT NULL,
    tstz timestamptz NOT NULL, iv interval NOT NULL, p point NOT NULL, ints int[] NOT NULL, texts text[] NOT NULL
);

-- The key is complete, the rest is made up: `id` too, since it is not in the index.
CREATE TABLE users_index (id int PRIMARY KEY, email text NOT NULL UNIQUE, nickname text);
ALTER TABLE users_index REPLICA IDENTITY USING INDEX users_index_email_key;

-- PostgreSQL refuses UPDATE and DELETE on these two, since they are published.
CREATE TABLE users_nothing (id int PRIMARY KEY, email text NOT NULL);
ALTER TABLE users_nothing REPLICA IDENTITY NOTHING;
CREATE TABLE keyless (at int NOT NULL, note text);

CREATE TABLE keyless_full (at int NOT NULL, note text);
ALTER TABLE keyless_full REPLICA IDENTITY FULL;

CREATE TABLE members (tenant int, code text, name text NOT NULL, since date, PRIMARY KEY (tenant, code));
INSERT INTO members VALUES (1, 'a', 'Ada', '2020-02-29'), (1, 'c', 'Cy', NULL), (1, 'd', 'Dee', NULL);

-- Keys that are not plain numbers or texts.
CREATE TABLE odd_keys (
    big bigint, at timestamptz, price numeric(6, 2), day date, uid uuid, feeling mood, data bytea, note text,
    PRIMARY KEY (big, at, price, day, uid, feeling, data)
);

-- Columns called like the fields of Debezium and of the JSON converter.
CREATE TABLE odd_names (
    id int PRIMARY KEY,
    "schema" text, "payload" text, "before" text, "after" text, "op" text, "source" text,
    "Mixed Case" text
);
-- The whole row looks like a wrapped record.
CREATE TABLE lookalike ("schema" text PRIMARY KEY, "payload" text);

CREATE TABLE truncated (id int PRIMARY KEY);
CREATE TABLE truncated_too (id int PRIMARY KEY, of int REFERENCES truncated);

CREATE TABLE visits (id int, region text, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE visits_eu PARTITION OF visits FOR VALUES IN ('eu');
CREATE TABLE visits_us PARTITION OF visits FOR VALUES IN ('us');

CREATE TABLE evolving (id int PRIMARY KEY, name text NOT NULL, old_one text);
INSERT INTO evolving VALUES (1, 'one', 'old');

-- Columns --------------------------------------------------------------------------------------------------------

CREATE TABLE numbers (
    id int PRIMARY KEY,
    flag bool, i2 smallint, i4 int, i8 bigint, object oid, single real, double double precision,
    price numeric(10, 2), whole numeric(20, 0), wide numeric(38, 10), unscaled numeric, cash money
);
INSERT INTO numbers VALUES (1, true, 1, 1, 1, 1, 1.5, 2.5, 12.34, 7, 0.0000000001, 10.0123, 12.34);

-- Numbers that are none. Debezium has no word for them in some modes.
CREATE TABLE not_numbers (id int PRIMARY KEY, price numeric(10, 2), unscaled numeric, single real, double double precision);

-- `numeric` has an infinity only without a scale.
CREATE TABLE infinite_decimals (id int PRIMARY KEY, unscaled numeric);

CREATE TABLE texts (
    id int PRIMARY KEY,
    plain text, short varchar(20), padded char(5), folded citext, feeling mood, uid uuid,
    doc json, docb jsonb, page xml, ip inet, net cidr, mac macaddr, mac8 macaddr8, path ltree,
    ints int4range, bigs int8range, nums numrange, stamps tsrange, zoned tstzrange, days daterange
);
INSERT INTO texts (id, plain, feeling) VALUES (1, 'plain', 'ok');

CREATE TABLE bytes (id int PRIMARY KEY, data bytea, one bit(1), eight bit(8), twenty bit(20), bits varbit(20));

CREATE TABLE times (
    id int PRIMARY KEY,
    day date, t0 time(0), t3 time(3), t6 time, zoned timetz,
    ts0 timestamp(0), ts3 timestamp(3), ts6 timestamp, tstz timestamptz, tstz0 timestamptz(0), span interval
);
INSERT INTO times (id, day) VALUES (1, '2017-09-15');

CREATE TABLE structures (
    id int PRIMARY KEY,
    pairs hstore, place point,
    bools bool[], shorts smallint[], ints int[], bigs bigint[], singles real[], doubles double precision[],
    prices numeric(8, 2)[], texts text[], shorts_of_text varchar(10)[], padded char(3)[], folded citext[], moods mood[],
    uids uuid[], docs json[], docbs jsonb[], datas bytea[], days date[], clocks time[], zoned timetz[], stamps timestamp[],
    moments timestamptz[], addresses inet[], nets cidr[], macs macaddr[], ranges int4range[], oids oid[]
);

-- Types that Debezium leaves out, unless it is told not to.
CREATE TABLE unknown_types (
    id int PRIMARY KEY,
    b box, c circle, l line, s lseg, p path, g polygon, where_to address, words tsvector, question tsquery,
    multi int4multirange, position pg_lsn, cash money[], names name[], spans interval[], bits varbit[], pages xml[],
    places point[], last text
);

-- Damaged at the source: nothing can be done about it.
CREATE TABLE damaged (
    id int PRIMARY KEY,
    nm name, grid int[][], day date, doubled int GENERATED ALWAYS AS (id * 2) STORED, "größe" int
);
INSERT INTO damaged (id, nm, grid, day, "größe") VALUES (1, 'n', '{{1,2},{3,4}}', 'infinity', 42);

-- TOAST ----------------------------------------------------------------------------------------------------------

-- Each value is stored out of line: together they exceed 2 kB, the target is small, and nothing is compressed.
CREATE TABLE toasted (
    id int PRIMARY KEY,
    small int,
    t text, vc varchar, ci citext, j json, jb jsonb, x xml, lt ltree, data bytea,
    texts text[], varchars varchar[], docs jsonb[], ints int[], bigs bigint[], days date[], uids uuid[], pairs hstore,
    bools bool[], doubles double precision[], bits varbit
) WITH (toast_tuple_target = 128);
ALTER TABLE toasted
    ALTER t SET STORAGE EXTERNAL, ALTER vc SET STORAGE EXTERNAL, ALTER ci SET STORAGE EXTERNAL,
    ALTER j SET STORAGE EXTERNAL, ALTER jb SET STORAGE EXTERNAL, ALTER x SET STORAGE EXTERNAL,
    ALTER lt SET STORAGE EXTERNAL, ALTER data SET STORAGE EXTERNAL, ALTER texts SET STORAGE EXTERNAL,
    ALTER varchars SET STORAGE EXTERNAL, ALTER docs SET STORAGE EXTERNAL, ALTER ints SET STORAGE EXTERNAL,
    ALTER bigs SET STORAGE EXTERNAL, ALTER days SET STORAGE EXTERNAL, ALTER uids SET STORAGE EXTERNAL,
    ALTER pairs SET STORAGE EXTERNAL, ALTER bools SET STORAGE EXTERNAL, ALTER doubles SET STORAGE EXTERNAL,
    ALTER bits SET STORAGE EXTERNAL;

CREATE TABLE toasted_full (id int PRIMARY KEY, small int, t text NOT NULL);
ALTER TABLE toasted_full ALTER t SET STORAGE EXTERNAL, REPLICA IDENTITY FULL;

-- A text that is NOT NULL and unchanged, and one beside it that changes.
CREATE TABLE articles (id int PRIMARY KEY, title text NOT NULL, body text NOT NULL, note text);
ALTER TABLE articles ALTER body SET STORAGE EXTERNAL, ALTER note SET STORAGE EXTERNAL;

-- Around the tables ----------------------------------------------------------------------------------------------

CREATE TABLE outbox (
    id uuid PRIMARY KEY,
    aggregatetype text NOT NULL,
    aggregateid text NOT NULL,
    type text NOT NULL,
    payload jsonb
);

CREATE TABLE debezium_signal (id text PRIMARY KEY, type text NOT NULL, data text);
CREATE TABLE backlog (id int PRIMARY KEY, note text);
INSERT INTO backlog SELECT n, 'note ' || n FROM generate_series(1, 5) n;

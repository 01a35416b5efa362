-- What is done to the tables of schema.sql while the connectors stream. A line `-- case <name>` begins a case; its
-- events are under that name in the goldens. A statement ends with its line. Each is a transaction of its own, unless it
-- is between BEGIN and COMMIT.

-- Rows: identities, keys, operations -----------------------------------------------------------------------------

-- case default/insert
INSERT INTO users (id, email, balance) VALUES (10, 'cy@example.org', 1.50);

-- case default/update
UPDATE users SET email = 'cy@example.net' WHERE id = 10;

-- case default/update-without-changes
UPDATE users SET email = email WHERE id = 10;

-- case default/null-in-a-column-with-a-default
UPDATE users SET age = NULL WHERE id = 10;

-- case default/key-change
UPDATE users SET id = 11 WHERE id = 10;

-- case default/delete
DELETE FROM users WHERE id = 11;

-- case default/delete-of-strict-columns
INSERT INTO strict VALUES (1, true, 2, 3, 4.5, 5.5, 6.50, 7.125, 8.25, 't', 'c', gen_random_uuid(), '[1]', '[2]', '<x/>',
    'happy', '10.0.0.1', '[1,5)', 'a=>1', '\x0102', B'10000001', '2020-02-29', '12:00', '12:00+02', '2020-02-29 12:00',
    '2020-02-29 12:00Z', '1 day', '(1,2)', '{1,2}', '{a,b}');
DELETE FROM strict WHERE id = 1;

-- case full/insert
INSERT INTO users_full (id, email, balance, nickname, tags)
    VALUES (10, 'cy@example.org', 1.50, 'cy', '{a,b}');

-- case full/update
UPDATE users_full SET email = 'cy@example.net' WHERE id = 10;

-- case full/update-without-changes
UPDATE users_full SET email = email WHERE id = 10;

-- case full/null-in-a-column-with-a-default
UPDATE users_full SET age = NULL WHERE id = 10;

-- case full/key-change
UPDATE users_full SET id = 11 WHERE id = 10;

-- case full/delete
DELETE FROM users_full WHERE id = 11;

-- case index/insert
INSERT INTO users_index VALUES (7, 'dee@example.org', 'dee');

-- case index/update
UPDATE users_index SET nickname = 'd' WHERE id = 7;

-- case index/update-of-the-index
UPDATE users_index SET email = 'dee@example.net' WHERE id = 7;

-- case index/delete
DELETE FROM users_index WHERE id = 7;

-- case nothing/insert
INSERT INTO users_nothing VALUES (1, 'eve@example.org');

-- case keyless/insert
INSERT INTO keyless VALUES (1, 'one');

-- case keyless/insert-of-equal-rows
INSERT INTO keyless VALUES (2, 'same'), (2, 'same');

-- case keyless/copy
COPY keyless (at) FROM PROGRAM 'printf "3\n3\n4\n"';

-- case keyless-full/insert
INSERT INTO keyless_full VALUES (1, 'one'), (2, 'two');

-- case keyless-full/update
UPDATE keyless_full SET note = 'uno' WHERE at = 1;

-- case keyless-full/delete
DELETE FROM keyless_full WHERE at = 2;

-- case composite-key/insert
INSERT INTO members VALUES (1, 'b', 'Bob', '2021-03-01');

-- case composite-key/update
UPDATE members SET name = 'Robert' WHERE tenant = 1 AND code = 'b';

-- case composite-key/key-change
UPDATE members SET tenant = 2 WHERE tenant = 1 AND code = 'b';

-- case composite-key/swap
BEGIN;
UPDATE members SET code = 'x' WHERE tenant = 1 AND code = 'a';
INSERT INTO members VALUES (1, 'a', 'New', NULL);
COMMIT;

-- case composite-key/delete
DELETE FROM members WHERE tenant = 2;

-- case odd-keys/insert
INSERT INTO odd_keys VALUES (9007199254740993, '2020-02-29 12:00:00.5Z', 12.34, '2020-02-29',
    '3f333df6-90a4-4fda-8dd3-9485d27cee36', 'happy', '\x0102', 'a note');

-- case odd-keys/delete
DELETE FROM odd_keys;

-- case odd-names/insert
INSERT INTO odd_names VALUES (1, 's', 'p', 'b', 'a', 'o', 'src', 'm');

-- case odd-names/update-and-delete
UPDATE odd_names SET "op" = 'd' WHERE id = 1;
DELETE FROM odd_names WHERE id = 1;

-- case odd-names/lookalike
INSERT INTO lookalike VALUES ('{"type":"struct"}', '{"id":1}');
DELETE FROM lookalike;

-- case truncate/two-tables
INSERT INTO truncated VALUES (1);
INSERT INTO truncated_too VALUES (1, 1);
TRUNCATE truncated, truncated_too;

-- case partitioned/insert
INSERT INTO visits VALUES (1, 'eu', 'first'), (2, 'us', 'second');

-- case partitioned/move
UPDATE visits SET region = 'us' WHERE id = 1;

-- case transaction/two-tables
BEGIN;
INSERT INTO users (id, email, balance) VALUES (20, 'fay@example.org', 0);
INSERT INTO members VALUES (20, 'f', 'Fay', NULL);
UPDATE users SET balance = 99.99 WHERE id = 20;
DELETE FROM users WHERE id = 20;
COMMIT;

-- case transaction/rolled-back
BEGIN;
INSERT INTO users (id, email, balance) VALUES (21, 'gus@example.org', 0);
ROLLBACK;

-- case transaction/key-reused
BEGIN;
DELETE FROM users WHERE id = 2;
INSERT INTO users (id, email, balance) VALUES (2, 'bob@example.net', 1);
COMMIT;

-- case message/transactional
BEGIN;
INSERT INTO users (id, email, balance) VALUES (30, 'hal@example.org', 0);
SELECT pg_logical_emit_message(true, 'audit', '{"by":"hal"}');
COMMIT;

-- case message/not-transactional
SELECT pg_logical_emit_message(false, 'audit', '\xff00'::bytea);

-- case message/in-a-transaction-that-is-rolled-back
BEGIN;
SELECT pg_logical_emit_message(true, 'audit', 'rolled back');
SELECT pg_logical_emit_message(false, 'audit', 'stays');
ROLLBACK;

-- case schema-change/add-a-column
ALTER TABLE evolving ADD added int;
INSERT INTO evolving VALUES (2, 'two', 'old', 2);

-- case schema-change/add-a-column-with-a-default
ALTER TABLE evolving ADD level int NOT NULL DEFAULT 5;
UPDATE evolving SET name = 'uno' WHERE id = 1;

-- case schema-change/rename-a-column
ALTER TABLE evolving RENAME name TO title;
INSERT INTO evolving (id, title) VALUES (3, 'three');

-- case schema-change/drop-a-column
ALTER TABLE evolving DROP old_one;
UPDATE evolving SET added = 3 WHERE id = 3;

-- case schema-change/change-a-type
ALTER TABLE evolving ALTER added TYPE text;
INSERT INTO evolving (id, title, added) VALUES (4, 'four', 'a text');

-- case schema-change/in-a-transaction
BEGIN;
INSERT INTO evolving (id, title) VALUES (5, 'five');
ALTER TABLE evolving ADD last_one bool DEFAULT true;
INSERT INTO evolving (id, title) VALUES (6, 'six');
COMMIT;

-- Columns --------------------------------------------------------------------------------------------------------

-- case numbers/ordinary
INSERT INTO numbers VALUES (2, false, -2, -2, -2, 2, -1.5, -2.5, -12.34, -7, -1.5, -10.0123, -12.34);

-- case numbers/largest
INSERT INTO numbers VALUES (3, true, 32767, 2147483647, 9223372036854775807, 4294967295, 3.4028235e38,
    1.7976931348623157e308, 99999999.99, 99999999999999999999, 9999999999999999999999999999.9999999999,
    123456789012345678901234567890.123456789, '92233720368547758.07');

-- case numbers/smallest
INSERT INTO numbers VALUES (4, false, -32768, -2147483648, -9223372036854775808, 0, 1e-37, 5e-324, -99999999.99,
    -99999999999999999999, -9999999999999999999999999999.9999999999, 0.000000000000000000000000000001,
    '-92233720368547758.08');

-- case numbers/zero
INSERT INTO numbers VALUES (5, false, 0, 0, 0, 0, 0, '-0', 0, 0, 0, 0, 0);

-- case numbers/null
INSERT INTO numbers (id) VALUES (6);

-- Whole, beyond the integers of a double, and of a form with an exponent.
-- case numbers/floats
INSERT INTO numbers (id, i8, single, double, unscaled, price)
    VALUES (7, 9007199254740993, 1e10, 1e10, 1000, 100), (8, 1, 16777217, 1e21, 1e20, 0.10), (9, 1, 1e-7, 1e-7, 1e-20, 0.01);

-- case numbers/update-and-delete
UPDATE numbers SET price = 0.01 WHERE id = 2;
DELETE FROM numbers WHERE id = 2;

-- case not-numbers/floats
INSERT INTO not_numbers (id, single, double) VALUES (1, 'NaN', 'NaN'), (2, 'Infinity', 'Infinity'),
    (3, '-Infinity', '-Infinity');

-- case not-numbers/decimals
INSERT INTO not_numbers (id, price) VALUES (4, 'NaN');
INSERT INTO not_numbers (id, unscaled) VALUES (5, 'NaN');

-- case not-numbers/infinite-decimals
INSERT INTO infinite_decimals VALUES (1, 'Infinity'), (2, '-Infinity'), (3, 'NaN');

-- case texts/ordinary
INSERT INTO texts VALUES (2, 'a text', 'short', 'ab', 'Folded', 'happy', '3f333df6-90a4-4fda-8dd3-9485d27cee36',
    '{"a": [1, null]}', '{"a": [1, null]}', '<a>b</a>', '10.1.2.3/8', '10.1.0.0/16', '08:00:2b:01:02:03',
    '08:00:2b:01:02:03:04:05', 'top.sub', '[1,5)', '[1,5)', '[1.5,2.5]', '[2020-01-01 00:00,2020-01-02 00:00)',
    '[2020-01-01 00:00Z,)', '[2020-01-01,2020-01-31]');

-- Emoji are above U+FFFF.
-- case texts/unicode
INSERT INTO texts (id, plain, short, padded, folded, docb)
    VALUES (3, E'Zo\u00eb \U0001F980 \u65e5\u672c "quoted" \\ back \t tab \n line \u0001', E'\U0001F600', E'\u00e9',
        E'\u00c9', E'{"\U0001F980": "\U0001F980"}');

-- case texts/empty
INSERT INTO texts VALUES (4, '', '', '', '', 'sad', '00000000-0000-0000-0000-000000000000', '""', '{}', '', '::1', '::/0',
    '00:00:00:00:00:00', '00:00:00:00:00:00:00:00', '', 'empty', 'empty', 'empty', 'empty', 'empty', 'empty');

-- case texts/null
INSERT INTO texts (id) VALUES (5);

-- The marker of an unchanged column as a value of its own.
-- case texts/the-marker-itself
INSERT INTO texts (id, plain) VALUES (6, '__debezium_unavailable_value');

-- JSON null is not NULL.
-- case texts/json-null
INSERT INTO texts (id, doc, docb) VALUES (7, 'null', 'null');

-- case bytes/ordinary
INSERT INTO bytes VALUES (1, '\x00010203fbff', B'1', B'10000001', B'10000000000000000001', B'101');

-- case bytes/empty
INSERT INTO bytes VALUES (2, '', B'0', B'00000000', B'00000000000000000000', B'');

-- case bytes/null
INSERT INTO bytes (id) VALUES (3);

-- case times/ordinary
INSERT INTO times VALUES (2, '2017-09-15', '11:51:30', '11:51:30.123', '11:51:30.123789', '11:51:30.123789+02',
    '2017-09-15 11:51:30', '2017-09-15 11:51:30.123', '2017-09-15 11:51:30.123789', '2017-09-15 11:51:30.123789+02',
    '2017-09-15 11:51:30+02', '1 year 2 months 3 days 4:05:06.78');

-- case times/before-1970
INSERT INTO times VALUES (3, '1582-10-04', '00:00:00', '00:00:00.001', '00:00:00.000001', '00:00:00+14',
    '1969-12-31 23:59:59', '1969-12-31 23:59:59.999', '1969-12-31 23:59:59.999999', '1969-12-31 23:59:59.999999Z',
    '1900-01-01 00:00:00Z', '-1 year -2 months -3 days -4:05:06.78');

-- case times/midnight-at-the-end
INSERT INTO times (id, t0, t3, t6, zoned) VALUES (4, '24:00:00', '24:00:00', '24:00:00', '24:00:00Z');

-- case times/before-christ
INSERT INTO times (id, day, ts3, ts6, tstz)
    VALUES (5, '0044-03-15 BC', '0044-03-15 12:00:00 BC', '0044-03-15 12:00:00 BC', '0044-03-15 12:00:00Z BC');

-- case times/far-away
INSERT INTO times (id, day, ts3, ts6, tstz)
    VALUES (6, '21016-11-07', '21016-11-07 00:00:00', '21016-11-07 00:00:00', '21016-11-07 00:00:00Z');

-- case times/infinite
INSERT INTO times (id, ts0, ts3, ts6, tstz) VALUES (7, 'infinity', 'infinity', 'infinity', 'infinity'),
    (8, '-infinity', '-infinity', '-infinity', '-infinity');

-- case times/intervals
INSERT INTO times (id, span) VALUES (9, '0'), (10, '1 month'), (11, '-1 day 02:03'), (12, '100 years'),
    (13, '00:00:00.000001');

-- case times/null
INSERT INTO times (id) VALUES (14);

-- case structures/ordinary
INSERT INTO structures VALUES (1, 'a=>1, "b c"=>NULL', '(1.5,-2)', '{t,f}', '{1,-2}', '{1,-2}', '{1,-9223372036854775808}',
    '{1.5}', '{2.5,1e10}', '{12.34,-0.01}', '{a,"b c","d\"e"}', '{a}', '{a}', '{A}', '{ok,sad}',
    '{3f333df6-90a4-4fda-8dd3-9485d27cee36}', '{"{\"a\": 1}"}', '{"{\"a\": 1}"}', '{"\\x0102"}', '{2017-09-15}',
    '{11:51:30.123789}', '{11:51:30+02}', '{2017-09-15 11:51:30.123789}', '{2017-09-15 11:51:30.123789+02}',
    '{10.0.0.1}', '{10.0.0.0/8}', '{08:00:2b:01:02:03}', '{"[1,5)"}', '{7}');

-- case structures/empty
INSERT INTO structures VALUES (2, '', '(0,0)', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
    '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');

-- case structures/null-elements
INSERT INTO structures (id, bools, ints, bigs, doubles, prices, texts, uids, docbs, days, stamps, moments)
    VALUES (3, '{t,NULL}', '{1,NULL}', '{1,NULL}', '{1,NULL}', '{1,NULL}', '{a,NULL,"NULL",""}',
        '{3f333df6-90a4-4fda-8dd3-9485d27cee36,NULL}', '{1,NULL}', '{2017-09-15,NULL}', '{2017-09-15 11:51:30,NULL}',
        '{2017-09-15 11:51:30Z,NULL}');

-- case structures/null
INSERT INTO structures (id) VALUES (4);

-- case unknown-types/ordinary
INSERT INTO unknown_types VALUES (1, '(1,1),(0,0)', '<(0,0),1>', '{1,2,3}', '[(0,0),(1,1)]', '((0,0),(1,1))',
    '((0,0),(1,1),(2,0))', '("High Street",7)', 'a fat cat', 'fat & cat', '{[1,5),[7,9)}', '16/B374D848', '{1.5}', '{n}',
    '{1 day}', '{101}', '{<a/>}', '{"(1,2)"}', 'last');

-- case unknown-types/null
INSERT INTO unknown_types (id) VALUES (2);

-- case damaged/insert
INSERT INTO damaged (id, nm, grid, day, "größe") VALUES (2, 'n', '{{1,2},{3,4}}', 'infinity', 42);

-- TOAST ----------------------------------------------------------------------------------------------------------

-- case toast/insert
INSERT INTO toasted
    SELECT 1, 0, repeat('t', 200), repeat('v', 200), repeat('c', 200), to_json(repeat('j', 200)), to_jsonb(repeat('b', 200)),
        ('<x>' || repeat('x', 200) || '</x>')::xml, text2ltree(repeat('l', 200)), convert_to(repeat('d', 200), 'UTF8'),
        array_fill('a'::text, ARRAY[40]), array_fill('a'::varchar, ARRAY[40]), array_fill('{}'::jsonb, ARRAY[40]),
        array_fill(1, ARRAY[40]), array_fill(1::bigint, ARRAY[40]), array_fill('2020-02-29'::date, ARRAY[40]),
        array_fill('3f333df6-90a4-4fda-8dd3-9485d27cee36'::uuid, ARRAY[12]), hstore('k', repeat('h', 200)),
        array_fill(true, ARRAY[200]), array_fill(0.5::float8, ARRAY[40]), repeat('1', 1600)::varbit;

-- case toast/update-of-another-column
UPDATE toasted SET small = 1 WHERE id = 1;

-- case toast/update-of-a-toasted-column
UPDATE toasted SET t = 'now short' WHERE id = 1;

-- case toast/key-change
UPDATE toasted SET id = 2 WHERE id = 1;

-- case toast/delete
DELETE FROM toasted WHERE id = 2;

-- case toast/not-null
INSERT INTO articles VALUES (1, 'title', repeat('b', 2100), repeat('n', 2100));
UPDATE articles SET title = 'another title' WHERE id = 1;
UPDATE articles SET note = NULL WHERE id = 1;
DELETE FROM articles WHERE id = 1;

-- case toast/full
INSERT INTO toasted_full VALUES (1, 0, repeat('t', 2100));
UPDATE toasted_full SET small = 1 WHERE id = 1;
DELETE FROM toasted_full WHERE id = 1;

-- Around the tables ----------------------------------------------------------------------------------------------

-- case outbox/event
INSERT INTO outbox VALUES ('3f333df6-90a4-4fda-8dd3-9485d27cee36', 'order', '7', 'OrderCreated', '{"id": 7, "lines": [1]}');

-- As it is done in production: the row is only for the log.
-- case outbox/event-and-delete
BEGIN;
INSERT INTO outbox VALUES ('b68a35a7-17ad-35b3-af2a-ae46edb4545a', 'order', '8', 'OrderCreated', '{"id": 8, "lines": []}');
DELETE FROM outbox;
COMMIT;

-- case outbox/event-without-payload
INSERT INTO outbox VALUES ('7a1f2c30-0000-4000-8000-000000000000', 'user', 'a b', 'UserDeleted', NULL);

-- Last, since it goes on in the background.
-- case incremental-snapshot/signal
INSERT INTO debezium_signal
    VALUES ('s1', 'execute-snapshot', '{"data-collections": ["public.backlog"], "type": "incremental"}');
UPDATE backlog SET note = 'changed' WHERE id = 3;

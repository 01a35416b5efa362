-- What is done to the tables of schema.sql while the connectors stream. A line `-- case <name>` begins a case; its
-- events are under that name in the goldens. Each statement is a transaction of its own, unless it says otherwise.

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

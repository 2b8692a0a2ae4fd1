"""The tables of a course, the views of them that one question reads, and the queries of questions.

A question reads the views alone. They hold records of the permitted students until the end of the period, so no
question can forget either. Students, items and points are numbers; `CourseColumns` has their ids.
"""

# Moments are in UTC and have no time zone. `day` is the day of a moment for the clocks of the school. `outcome` is in
# thousandths. The first attempt of a student at an item is the one with the smallest (moment, number, record),
# whatever the period of a question is. `answer` is a mark of the text that the student gave (marks.py). An attempt is
# a mistake if its outcome is below a half and it has words about it; `errors` has the mistakes that are not attempts.
TABLES = """
CREATE SCHEMA {schema};
CREATE TABLE {schema}.tests (item INTEGER, point INTEGER);
CREATE TABLE {schema}.attempts (
  student INTEGER, item INTEGER, moment TIMESTAMP, number INTEGER, record VARCHAR, outcome SMALLINT,
  day DATE, answer BIGINT, is_mistake BOOLEAN, is_first BOOLEAN
);
CREATE TABLE {schema}.errors (student INTEGER, moment TIMESTAMP, record VARCHAR, day DATE, resolved BOOLEAN);
"""

# `portion` has the columns to insert. numpy has no type that DuckDB takes as a DATE, so a day is a moment there.
INSERT_TESTS = "INSERT INTO {schema}.tests FROM portion"
INSERT_ATTEMPTS = """
INSERT INTO {schema}.attempts
SELECT student, item, moment, number, record, outcome, day::DATE, answer, is_mistake, false FROM portion
"""
INSERT_ERRORS = (
    "INSERT INTO {schema}.errors SELECT student, moment, record, day::DATE, resolved FROM portion"
)
DELETE_TESTS = "DELETE FROM {schema}.tests"
# `leaving` has students or records.
DELETE_OF_STUDENTS = """
DELETE FROM {schema}.attempts WHERE student IN (SELECT student FROM leaving)
"""
DELETE_ERRORS_OF_STUDENTS = """
DELETE FROM {schema}.errors WHERE student IN (SELECT student FROM leaving)
"""
DELETE_ERRORS = "DELETE FROM {schema}.errors WHERE record IN (SELECT record FROM leaving)"
DELETE_RECORDS = """
DELETE FROM {schema}.attempts WHERE record IN (SELECT record FROM leaving) RETURNING student, item
"""
# `touched` has the pairs of students and items whose attempts may have another order now.
MARK_FIRST = """
UPDATE {schema}.attempts AS attempt SET is_first = placed.is_first
FROM (
  SELECT student, record,
    row_number() OVER (PARTITION BY student, item ORDER BY moment, number, record) = 1 AS is_first
  FROM {schema}.attempts SEMI JOIN touched USING (student, item)
) AS placed
WHERE attempt.record = placed.record AND attempt.student = placed.student AND attempt.is_first <> placed.is_first
"""
COUNT_RECORDS = (
    "SELECT (SELECT count(*) FROM {schema}.attempts) + (SELECT count(*) FROM {schema}.errors)"
)

LAST_ATTEMPT = "SELECT max(moment) FROM {schema}.attempts WHERE moment <= TIMESTAMP '{until}'"

VIEWS = """
CREATE TEMP VIEW tests AS FROM {schema}.tests;
CREATE TEMP VIEW attempts AS
SELECT *, moment >= TIMESTAMP '{since}' AS in_period FROM {schema}.attempts
WHERE moment <= TIMESTAMP '{until}' AND student IN (SELECT student FROM permitted);
CREATE TEMP VIEW first_attempts AS FROM attempts WHERE is_first AND in_period;
CREATE TEMP VIEW mistakes AS
SELECT student, record, moment, day, resolved FROM {schema}.errors
WHERE moment >= TIMESTAMP '{since}' AND moment <= TIMESTAMP '{until}' AND student IN (SELECT student FROM permitted)
UNION ALL SELECT student, record, moment, day, false FROM attempts WHERE is_mistake AND in_period;
"""

# The sum of integers is a HUGEINT in DuckDB, which has no type in Python of its own, so sums are cast.
TRIES_OF_STUDENTS = """
SELECT student, count(*) AS "number", sum(outcome)::BIGINT AS outcomes FROM first_attempts GROUP BY ALL
"""
FIRST_TRIES_AT_ITEMS = "SELECT student, item, outcome, answer FROM first_attempts"
# The records of long answers, in attempts with an outcome below a bound.
LONG_ANSWERS = (
    "SELECT student, item, record FROM first_attempts WHERE answer = {long} AND outcome < {below}"
)
# For each other answer that enough students gave to one item, one of the records that have it.
SAMPLES_OF_ANSWERS = """
SELECT answer, any_value(record) FROM (
  SELECT answer, any_value(record) AS record FROM first_attempts
  WHERE answer NOT IN ({none}, {long}) AND outcome < {below} GROUP BY item, answer HAVING count(*) >= {least}
) GROUP BY answer
"""
# All attempts, the first ones among them, whenever they were, and the first ones in the period. An attempt at an item
# of two points stands at both.
TRIES_AT_POINTS = """
SELECT point, student, count(*) AS tries, count(*) FILTER (outcome >= 500) AS right_tries,
  count(*) FILTER (is_first) AS number_ever, count(*) FILTER (is_first AND outcome >= 500) AS right_ever,
  max(moment) FILTER (is_first) AS "last",
  arg_max(outcome, row(moment, number, record)) FILTER (is_first) >= 500 AS last_was_right,
  count(*) FILTER (is_first AND in_period) AS "number",
  count(*) FILTER (is_first AND in_period AND outcome >= 500) AS "right",
  coalesce(sum(outcome) FILTER (is_first AND in_period), 0)::BIGINT AS outcomes,
  coalesce(min(moment) FILTER (is_first AND in_period), max(moment) FILTER (is_first)) AS "first"
FROM attempts JOIN tests USING (item) GROUP BY ALL
"""
# The numbers, over all students, of right first attempts, first attempts, right attempts, and attempts.
ANSWERS_AT_POINTS = """
SELECT point, count(*) FILTER (is_first AND outcome >= 500), count(*) FILTER (is_first),
  count(*) FILTER (outcome >= 500), count(*)
FROM attempts JOIN tests USING (item) GROUP BY ALL
"""
FIRST_TRIES_IN_ORDER = """
SELECT point, student, outcome FROM first_attempts JOIN tests USING (item)
ORDER BY point, student, moment, number, record
"""
TRIES_OF_WEEKS = """
SELECT date_trunc('week', day)::DATE AS monday, student, count(*) AS "number", sum(outcome)::BIGINT AS outcomes
FROM first_attempts GROUP BY ALL
"""
# `terms` has the terms of the question. Terms may overlap. The end of a term is not part of it.
TRIES_OF_TERMS = """
SELECT term, student, count(*) AS "number", sum(outcome)::BIGINT AS outcomes
FROM first_attempts JOIN terms ON moment >= starts AND moment < ends GROUP BY ALL
"""
TRIES_IN_NO_TERM = """
SELECT count(*) FROM first_attempts
WHERE NOT EXISTS (SELECT 1 FROM terms WHERE moment >= starts AND moment < ends)
"""
# All attempts of the period, and the first ones among them.
TRIES_OF_CELLS = """
SELECT point, student, count(*) AS tries, count(*) FILTER (is_first) AS first_attempts,
  count(*) FILTER (is_first AND outcome >= 500) AS "right",
  coalesce(sum(outcome) FILTER (is_first), 0)::BIGINT AS outcomes, max(moment) AS "last",
  arg_max(outcome, row(moment, number, record)) AS last_outcome
FROM attempts JOIN tests USING (item) WHERE in_period AND {wanted} GROUP BY ALL
"""
# All students with an attempt of the period at a point, and the first attempts among these.
FIRST_TRIES_OF_PERIOD = """
SELECT point, student, count(*) FILTER (is_first) AS "number",
  coalesce(sum(outcome) FILTER (is_first), 0)::BIGINT AS outcomes
FROM attempts JOIN tests USING (item) WHERE in_period GROUP BY ALL
"""
# A repetition is a day with attempts of the period at a point. It is right if the mean outcome is a half or more.
REPETITIONS = """
SELECT point, student, day, count(*) AS tries, sum(outcome) >= 500 * count(*) AS is_right
FROM attempts JOIN tests USING (item) WHERE in_period GROUP BY ALL ORDER BY day
"""
TRIES_MADE = """
SELECT count(*), count(DISTINCT student), count(*) FILTER (item NOT IN (SELECT item FROM tests))
FROM attempts WHERE in_period
"""
FIRST_TRIES_OF_DAYS = "SELECT student, item, day, outcome FROM first_attempts"
# All attempts, whenever they were.
TRIES_BY_DAY = "SELECT student, day, is_first, outcome FROM attempts ORDER BY day"
WORK_OF_STUDENTS = """
SELECT student, count(*) FILTER (is_try), sum(outcome)::BIGINT, count(*) FILTER (NOT is_try), max(moment)
FROM (
  SELECT student, moment, outcome, true AS is_try FROM first_attempts
  UNION ALL SELECT student, moment, 0 AS outcome, false AS is_try FROM mistakes
) GROUP BY student
"""
LAST_RECORD = """
SELECT max(moment) FROM (SELECT moment FROM attempts UNION ALL SELECT moment FROM mistakes)
"""
UNRESOLVED_MISTAKES = "SELECT student, record, moment FROM mistakes WHERE NOT resolved"
# The records of the latest wrong attempts of the period.
WRONG_AT_POINT = """
SELECT record FROM attempts SEMI JOIN (FROM tests WHERE point = {point}) USING (item)
WHERE in_period AND outcome < 500 ORDER BY moment DESC, record DESC LIMIT {limit}
"""
WRONG_OR_MISTAKEN = """
SELECT record FROM (
  SELECT record, moment FROM attempts WHERE in_period AND outcome < 500 UNION SELECT record, moment FROM mistakes
) ORDER BY moment DESC, record DESC LIMIT {limit}
"""
RIGHT_TRIES_OF_STUDENTS = """
SELECT student, count(*), count(*) FILTER (outcome >= 500) FROM attempts GROUP BY ALL
"""
# The items that a student tried so often in the period after the student was last right: at the item by any attempt,
# or at one of its points by a first attempt.
STUCK = """
WITH tried AS (
  SELECT student, item FROM attempts WHERE in_period GROUP BY ALL HAVING count(*) >= {tries}
),
right_at AS (
  SELECT student, item, max(row(moment, number, record)) AS place
  FROM tried JOIN attempts USING (student, item) WHERE outcome >= 500 GROUP BY ALL
  UNION ALL
  SELECT tried.student, tried.item, max(row(moment, number, record)) AS place
  FROM tried JOIN tests ON tests.item = tried.item JOIN tests AS others USING (point)
    JOIN attempts ON attempts.student = tried.student AND attempts.item = others.item
  WHERE is_first AND outcome >= 500 GROUP BY ALL
),
last_right AS (SELECT student, item, max(place) AS place FROM right_at GROUP BY ALL)
SELECT student, item FROM tried JOIN attempts USING (student, item) LEFT JOIN last_right USING (student, item)
WHERE place IS NULL OR row(moment, number, record) > place
GROUP BY ALL HAVING count(*) >= {tries}
"""
# In the period.
LAST_RIGHT_AT_ITEMS = """
SELECT student, item, max(moment) FROM attempts WHERE in_period AND outcome >= 500 GROUP BY ALL
"""
LAST_RIGHT_AT_POINTS = """
SELECT student, point, max(moment) FROM first_attempts JOIN tests USING (item) WHERE outcome >= 500 GROUP BY ALL
"""
TRIES_WITHOUT_POINT = "SELECT count(*) FROM first_attempts ANTI JOIN tests USING (item)"

MISTAKES_MADE = "SELECT count(*), count(*) FILTER (NOT resolved) FROM mistakes"
MISTAKES_OF_WEEKS = """
SELECT date_trunc('week', day)::DATE AS monday, count(*), count(*) FILTER (NOT resolved) FROM mistakes GROUP BY ALL
"""
MISTAKES_OF_TERMS = """
SELECT term, count(*), count(*) FILTER (NOT resolved)
FROM mistakes JOIN terms ON moment >= starts AND moment < ends GROUP BY ALL
"""
MISTAKES_IN_NO_TERM = """
SELECT count(*) FROM mistakes
WHERE NOT EXISTS (SELECT 1 FROM terms WHERE moment >= starts AND moment < ends)
"""

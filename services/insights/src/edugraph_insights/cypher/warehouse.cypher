// Statements for the tables of a warehouse. `{found}` is the beginning that finds records: those of students, or those of
// transactions. It names the record `n` and a student of it `s`. A record of a restricted student is left out.

// name: warehouse_of_students
UNWIND $students AS id
MATCH (s:Student {id: id})-[:{types}]-(n:{label})

// name: warehouse_of_words
MATCH (n:{label}) USING INDEX SEEK n:{label}(written) WHERE n.written IN $words
MATCH (s:Student)-[:{types}]-(n)

// name: warehouse_sizes
// Returns the numbers of records of students. The database counts relationships of one type without reading them.
UNWIND $students AS id
MATCH (s:Student {id: id})
RETURN id, COUNT { (s)-[:TRIED]->() } + COUNT { (s)-[:MADE]->() } + COUNT { (s)-[:SENT]->() } +
  COUNT { (s)<-[:RECEIVED_BY]-() } + COUNT { (s)-[:HAS_RECORD]->() } + COUNT { (s)-[:ACTIVE_ON]->() } +
  COUNT { (s)-[:HAS_MEMBERSHIP]->() } AS records

// name: warehouse_last_word
// Returns the word of the transaction that wrote records of this label last.
MATCH (n:{label}) WHERE n.written IS NOT NULL
RETURN n.written AS word ORDER BY word DESC LIMIT 1

// name: warehouse_words
// Returns the next words after a word, in their order.
MATCH (n:{label}) WHERE n.written > $after
RETURN DISTINCT n.written AS word ORDER BY word LIMIT $limit

// name: warehouse_students
MATCH (s:Student) WHERE s.id > $after
RETURN s.id AS id, s.name AS name, coalesce(s.changed, '') AS changed, coalesce(s.restricted, false) AS restricted
ORDER BY id LIMIT $limit

// name: warehouse_named
// Returns nodes with their names. Synonyms have the id of the node that represents them as `canonical`.
MATCH (n:{label}) WHERE n.id > $after
RETURN n.id AS id, coalesce(n.shown_as, n.name) AS name, coalesce(n.canonical, n.id) AS canonical
ORDER BY id LIMIT $limit

// name: warehouse_item_points
// Returns the points that these items test.
UNWIND $items AS id
MATCH (i:Item {id: id})-[:TESTS]->(k:KnowledgePoint)
RETURN DISTINCT i.id AS item, k.id AS point

// name: warehouse_attempts
{found}
WITH s, n WHERE coalesce(s.restricted, false) = false
MATCH (n)-[:OF_ITEM]->(i:Item)
OPTIONAL MATCH (n)-[:IN_COURSE]->(c:Course)
RETURN n.id AS record, n.written AS written, s.id AS student, coalesce(c.id, '') AS course, i.id AS item,
  toString(n.timestamp) AS at, n.attempt_number AS number, n.outcome AS outcome, n.duration_seconds AS seconds,
  n.hints AS hints, n.late AS late

// name: warehouse_mistakes
// A mistake is an ErrorRecord, or an attempt with an outcome below a half and words about it. `stated` are the types that the
// record itself gives.
{found}
WITH s, n WHERE coalesce(s.restricted, false) = false AND (n:ErrorRecord OR (n.outcome < 500 AND
  trim(CASE WHEN coalesce(n.question, '') <> '' THEN n.question ELSE coalesce(n.response, '') END) <> ''))
OPTIONAL MATCH (n)-[r:OF_TYPE]->(e:ErrorType)
WITH s, n, collect(DISTINCT e.id) AS types, collect(DISTINCT CASE WHEN r.stated_as IS NULL THEN null ELSE e.id END) AS stated
OPTIONAL MATCH (n)-[:CONCERNS]->(k:KnowledgePoint)
WITH s, n, types, stated, collect(DISTINCT k.id) AS points
OPTIONAL MATCH (n)-[:OF_ITEM]->(i:Item)
OPTIONAL MATCH (n)-[:IN_COURSE]->(c:Course)
RETURN n.id AS record, n.written AS written, s.id AS student, coalesce(c.id, '') AS course, i.id AS item,
  toString(n.timestamp) AS at, coalesce(n.occurrence_count, 1) AS occurrences, coalesce(n.resolved, false) AS resolved,
  n.severity AS severity, types, points, stated

// name: warehouse_messages
// Returns messages and posts. `student` sent the message, or received it from a teacher. `other_student` received it from a
// student.
{found}
WITH DISTINCT n
OPTIONAL MATCH (a:Student)-[:SENT]->(n)
OPTIONAL MATCH (n)-[:RECEIVED_BY]->(b:Student)
OPTIONAL MATCH (n)-[:IN_COURSE]->(c:Course)
WITH n, a, b, c WHERE coalesce(a.restricted, false) = false AND coalesce(b.restricted, false) = false
RETURN n.id AS record, n.written AS written, coalesce(a.id, b.id) AS student,
  CASE WHEN a IS NULL THEN null ELSE b.id END AS other_student, coalesce(c.id, '') AS course,
  toString(n.timestamp) AS at, n.record_type AS kind, coalesce(n.message_count, n.like_count, n.interaction_count, 1) AS number,
  n.found_sentiment AS sentiment

// name: warehouse_progress
{found}
WITH s, n WHERE coalesce(s.restricted, false) = false
OPTIONAL MATCH (n)-[:IN_COURSE]->(c:Course)
RETURN n.id AS record, n.written AS written, s.id AS student, coalesce(c.id, '') AS course, toString(n.timestamp) AS at,
  n.progress AS progress, n.time_spent AS minutes, toString(n.enrollment_date) AS enrolled,
  toString(n.completion_date) AS completed

// name: warehouse_activity
// Returns days of activity. A day is the one of UTC.
{found}
WITH s, n WHERE coalesce(s.restricted, false) = false
RETURN n.id AS record, n.written AS written, s.id AS student, coalesce(n.course_id, '') AS course,
  toString(n.date) AS day, n.active_minutes AS minutes

// name: warehouse_memberships
{found}
WITH s, n WHERE coalesce(s.restricted, false) = false
MATCH (n)-[:IN_GROUP]->(g:Group)
RETURN n.id AS record, n.written AS written, s.id AS student, coalesce(n.course_id, '') AS course, g.id AS group_id,
  n.term AS term, toString(n.starts) AS starts, toString(n.ends) AS ends, coalesce(n.leads, false) AS leads

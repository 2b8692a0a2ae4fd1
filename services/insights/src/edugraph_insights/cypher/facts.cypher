// name: attempts
// Returns the attempts of these students in a course until a moment. The responses are read where they are asked for.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:TRIED]->(a:Attempt)-[:IN_COURSE]->(c)
WHERE c.id = $course AND a.timestamp <= datetime($until)
MATCH (a)-[:OF_ITEM]->(i:Item)
RETURN s.id AS student, i.id AS item, coalesce(i.name, i.id) AS title, a.id AS record, a.timestamp AS at,
  coalesce(a.attempt_number, 0) AS number, a.outcome AS outcome, CASE WHEN $responses THEN a.response ELSE null END AS response

// name: tested_points
// Returns which points these items test. Points that mean the same are one, called as the one that stands for all.
UNWIND $items AS id
MATCH (i:Item {id: id})-[:TESTS]->(k:KnowledgePoint)
OPTIONAL MATCH (p:KnowledgePoint {id: k.canonical})
RETURN DISTINCT i.id AS item, coalesce(p.id, k.id) AS point, coalesce(p.name, k.name, k.id) AS name

// name: mistakes
// Returns the mistakes of these students in a course during a time, once for each point behind them, and once with a
// null where none is known. A mistake is an ErrorRecord, or an attempt below a half with words that say how.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:MADE|TRIED]->(m)-[:IN_COURSE]->(c)
WHERE c.id = $course AND m.timestamp >= datetime($since) AND m.timestamp <= datetime($until)
  AND (m.outcome IS NULL OR (m.outcome < 500 AND
    trim(CASE WHEN coalesce(m.question, '') <> '' THEN m.question ELSE coalesce(m.response, '') END) <> ''))
OPTIONAL MATCH (m)-[r:CONCERNS]->(k:KnowledgePoint)
OPTIONAL MATCH (p:KnowledgePoint {id: k.canonical})
RETURN s.id AS student, m.id AS record, m.timestamp AS at, coalesce(p.id, k.id) AS point,
  coalesce(p.name, k.name, k.id) AS name, r.confidence AS confidence, m.finding IS NOT NULL AS read, m.found_evidence IS NOT NULL AS evidence

// name: messages
// Returns what these students wrote, and what their teachers wrote to them, in a course during a time.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:SENT|RECEIVED_BY]-(n:Interaction)-[:IN_COURSE]->(c)
WHERE c.id = $course AND n.timestamp >= datetime($since) AND n.timestamp <= datetime($until) AND n.text IS NOT NULL
RETURN s.id AS student, n.id AS record, n.finding IS NOT NULL AS read, n.found_evidence IS NOT NULL AS evidence,
  n.found_confidence AS confidence, n.found_sentiment AS sentiment

// name: texts_of_course
// Returns the texts of a course.
MATCH (c:Course {id: $course})<-[:IN_COURSE]-(n:CourseContent)
RETURN n.id AS record, n.finding IS NOT NULL AS read, n.found_evidence IS NOT NULL AS evidence,
  n.found_confidence AS confidence

// name: prerequisites
// Returns what these points need first.
UNWIND $points AS id
MATCH (k:KnowledgePoint {canonical: id})-[r:DEPENDS_ON]->(b:KnowledgePoint)
OPTIONAL MATCH (p:KnowledgePoint {id: b.canonical})
RETURN k.canonical AS point, coalesce(p.id, b.id) AS needs, coalesce(p.name, b.name, b.id) AS name,
  r.confidence AS confidence

// name: points_of_course
// Returns the points that the texts of a course teach.
MATCH (c:Course {id: $course})-[:CONTAINS]->(k:KnowledgePoint)
RETURN DISTINCT coalesce(k.canonical, k.id) AS point

// name: standing
// Returns how these students stand in a course.
UNWIND $students AS id
MATCH (s:Student {id: id})-[r:LEARNS]->(c) WHERE c.id = $course
RETURN s.id AS student, r.progress AS progress

// name: course_name
// Returns a course, if it is there.
MATCH (c:Course {id: $course}) RETURN c.id AS course, coalesce(c.name, c.id) AS name

// name: records
// Returns attempts and mistakes of these students in a course, of a point and of an item where they are given.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:MADE|TRIED]->(m)-[:IN_COURSE]->(c)
WHERE c.id = $course AND m.timestamp >= datetime($since) AND m.timestamp <= datetime($until)
OPTIONAL MATCH (m)-[:OF_ITEM]->(i:Item)
OPTIONAL MATCH (i)-[:TESTS]->(t:KnowledgePoint) WHERE t.canonical = $point
OPTIONAL MATCH (m)-[:CONCERNS]->(k:KnowledgePoint) WHERE k.canonical = $point
WITH DISTINCT s, m, i, t IS NOT NULL AS tested, k IS NOT NULL AS concerned
WHERE ($item IS NULL OR i.id = $item) AND ($point IS NULL OR tested OR concerned)
RETURN m.id AS record, labels(m)[0] AS kind, s.id AS student, m.timestamp AS at, i.id AS item, m.outcome AS outcome,
  m.question AS question, coalesce(m.response, m.error_text) AS text
ORDER BY m.timestamp DESC, m.id LIMIT $limit

// name: contacts
// Returns when teachers wrote to these students in a course, or without saying in which.
UNWIND $students AS id
MATCH (s:Student {id: id})<-[:RECEIVED_BY]-(n:Interaction)<-[:SENT]-(t:Teacher)
WHERE n.timestamp <= datetime($until)
OPTIONAL MATCH (n)-[:IN_COURSE]->(c:Course)
WITH s, n, collect(c.id) AS courses
WHERE size(courses) = 0 OR $course IN courses
RETURN s.id AS student, n.timestamp AS at

// name: names
// Returns what these students are called.
UNWIND $students AS id
MATCH (s:Student {id: id})
RETURN s.id AS student, s.name AS name

// name: points_taught
// Returns the points that the texts of a course teach, with their names. Points that mean the same are one.
MATCH (c:Course {id: $course})-[:CONTAINS]->(k:KnowledgePoint)
OPTIONAL MATCH (p:KnowledgePoint {id: k.canonical})
RETURN DISTINCT coalesce(p.id, k.id) AS point, coalesce(p.name, k.name, k.id) AS name

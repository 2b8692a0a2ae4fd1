// name: add_chat_with
// Adds chats to the total of one student's chats with another.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})
MATCH (b:Student {id: row.to})
MERGE (a)-[r:CHAT_WITH]->(b)
ON CREATE SET r.message_count = row.count, r.last_interaction_date = datetime(row.last)
ON MATCH SET r.message_count = r.message_count + row.count,
  r.last_interaction_date = CASE WHEN datetime(row.last) > r.last_interaction_date THEN datetime(row.last)
    ELSE r.last_interaction_date END

// name: remove_chat_with
// Removes totals that are recomputed, or whose chats were removed.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})-[r:CHAT_WITH]->(b) WHERE b.id = row.to
DELETE r

// name: recompute_chat_with
// Returns one student's chats with another.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})-[:SENT]->(n:Interaction {interaction_type: 'chat'})-[:RECEIVED_BY]->(b) WHERE b.id = row.to
RETURN row.from AS from, row.to AS to, n.id AS record, n.timestamp AS timestamp, n.message_count AS count,
  null AS feedback

// name: add_likes
// Adds likes to the total of the likes that one student gave another.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})
MATCH (b:Student {id: row.to})
MERGE (a)-[r:LIKES]->(b)
ON CREATE SET r.like_count = row.count, r.last_like_date = datetime(row.last)
ON MATCH SET r.like_count = r.like_count + row.count,
  r.last_like_date = CASE WHEN datetime(row.last) > r.last_like_date THEN datetime(row.last) ELSE r.last_like_date END

// name: remove_likes
// Removes totals that are recomputed, or whose likes were removed.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})-[r:LIKES]->(b) WHERE b.id = row.to
DELETE r

// name: recompute_likes
// Returns the likes that one student gave another.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})-[:SENT]->(n:Interaction {interaction_type: 'like'})-[:RECEIVED_BY]->(b) WHERE b.id = row.to
RETURN row.from AS from, row.to AS to, n.id AS record, n.timestamp AS timestamp, n.like_count AS count,
  null AS feedback

// name: add_teaches
// Adds interactions to the total of a teacher and a student. The total has the latest feedback. The student comes
// first in MERGE, because a student has fewer relationships.
UNWIND $rows AS row
MATCH (a:Teacher {id: row.from})
MATCH (b:Student {id: row.to})
MERGE (b)<-[r:TEACHES]-(a)
ON CREATE SET r.interaction_count = row.count, r.last_interaction_date = datetime(row.last),
  r.feedback = row.feedback, r.stamp = row.stamp
ON MATCH SET r.interaction_count = r.interaction_count + row.count,
  r.last_interaction_date = CASE WHEN datetime(row.last) > r.last_interaction_date THEN datetime(row.last)
    ELSE r.last_interaction_date END,
  r.feedback = CASE WHEN row.stamp > coalesce(r.stamp, '') THEN row.feedback ELSE r.feedback END,
  r.stamp = CASE WHEN row.stamp > coalesce(r.stamp, '') THEN row.stamp ELSE r.stamp END

// name: remove_teaches
// Removes totals that are recomputed, or whose interactions were removed.
UNWIND $rows AS row
MATCH (b:Student {id: row.to})<-[r:TEACHES]-(a) WHERE a.id = row.from
DELETE r

// name: recompute_teaches
// Returns the single interactions of a teacher and a student.
UNWIND $rows AS row
MATCH (b:Student {id: row.to})<-[:RECEIVED_BY]-(n:Interaction {record_type: 'teacher_interaction'})<-[:SENT]-(a) WHERE a.id = row.from
RETURN row.from AS from, row.to AS to, n.id AS record, n.timestamp AS timestamp,
  n.interaction_count AS count, n.feedback AS feedback

// name: add_has_error
// Adds mistakes of one type in one course to a student's total. The latest record that gives `resolved` decides it.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})
MATCH (t:ErrorType {id: row.type})
MERGE (s)-[r:HAS_ERROR {course_id: row.course}]->(t)
ON CREATE SET r.occurrence_count = row.count, r.weight = row.weight,
  r.first_occurrence = datetime(row.first), r.last_occurrence = datetime(row.last),
  r.resolved = coalesce(row.resolved, false), r.stamp = row.stamp
ON MATCH SET r.occurrence_count = r.occurrence_count + row.count, r.weight = r.weight + row.weight,
  r.first_occurrence = CASE WHEN datetime(row.first) < r.first_occurrence THEN datetime(row.first) ELSE r.first_occurrence END,
  r.last_occurrence = CASE WHEN datetime(row.last) > r.last_occurrence THEN datetime(row.last) ELSE r.last_occurrence END,
  r.resolved = CASE WHEN row.stamp > coalesce(r.stamp, '') THEN row.resolved ELSE r.resolved END,
  r.stamp = CASE WHEN row.stamp > coalesce(r.stamp, '') THEN row.stamp ELSE r.stamp END

// name: remove_has_error
// Removes totals that are recomputed, or whose records were removed.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})-[r:HAS_ERROR {course_id: row.course}]->(t) WHERE t.id = row.type
DELETE r

// name: recompute_has_error
// Returns the mistakes of one type that a student made in one course.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})-[:MADE|TRIED]->(n)-[:OF_TYPE]->(t) WHERE t.id = row.type
MATCH (n)-[:IN_COURSE]->(c) WHERE c.id = row.course
RETURN row.student AS student, row.type AS type, row.course AS course, n.id AS record, n.timestamp AS timestamp,
  coalesce(n.occurrence_count, 1) AS count, coalesce(n.severity, n.found_severity) AS severity, n.resolved AS resolved

// name: add_practised
// Adds attempts at an item to a student's total. The attempt with the smallest place is the first one.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})
MATCH (i:Item {id: row.item})
MERGE (s)-[r:PRACTISED]->(i)
ON CREATE SET r.tries = row.tries, r.right = row.right, r.last = datetime(row.last),
  r.first = row.first, r.first_place = row.first_place
ON MATCH SET r.tries = r.tries + row.tries, r.right = r.right + row.right,
  r.last = CASE WHEN datetime(row.last) > r.last THEN datetime(row.last) ELSE r.last END,
  r.first = CASE WHEN row.first_place < r.first_place THEN row.first ELSE r.first END,
  r.first_place = CASE WHEN row.first_place < r.first_place THEN row.first_place ELSE r.first_place END

// name: remove_practised
// Removes totals that are recomputed, or whose attempts were removed.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})-[r:PRACTISED]->(i) WHERE i.id IN row.items
DELETE r

// name: recompute_practised
// Returns the attempts of students at some items, in a row for each student. An attempt without an outcome is not a
// try.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})-[:TRIED]->(n:Attempt)-[:OF_ITEM]->(i) WHERE i.id IN row.items AND n.outcome IS NOT NULL
RETURN row.student AS student, collect({item: i.id, record: n.id, timestamp: n.timestamp, number: n.attempt_number,
  outcome: n.outcome}) AS attempts

// name: add_relates_to
// Adds to the number of records that show a mistake of the type with the point behind it, and to the sums of strength
// and confidence.
UNWIND $rows AS row
MATCH (t:ErrorType {id: row.from})
MATCH (k:KnowledgePoint {id: row.to})
MERGE (t)-[r:RELATES_TO]->(k)
ON CREATE SET r.records = row.records, r.strength_sum = row.strength_sum, r.confidence_sum = row.confidence_sum
ON MATCH SET r.records = r.records + row.records, r.strength_sum = r.strength_sum + row.strength_sum,
  r.confidence_sum = r.confidence_sum + row.confidence_sum
WITH r WHERE r.records > 0
SET r.strength = r.strength_sum / (1000.0 * r.records), r.confidence = r.confidence_sum / (1000.0 * r.records)

// name: remove_unrelated
// Removes relationships that no record shows any more.
UNWIND $rows AS row
MATCH (t:ErrorType {id: row.from})-[r:RELATES_TO]->(k) WHERE k.id = row.to AND r.records <= 0
DELETE r

// name: remove_relates_to
// Removes pairs that are recomputed, or whose records were removed.
UNWIND $rows AS row
MATCH (t:ErrorType {id: row.from})-[r:RELATES_TO]->(k) WHERE k.id = row.to
DELETE r

// name: recompute_relates_to
// Returns, for each record with a mistake of these types, the points behind it with strength and confidence.
UNWIND $ids AS id
MATCH (t:ErrorType {id: id})<-[:OF_TYPE]-(n)-[c:CONCERNS]->(k)
RETURN id AS from, k.id AS to, c.strength AS strength, c.confidence AS confidence

// name: raise_contains
// Adds one more text that describes the point. The point is core if any text says so, and it has the smallest order.
UNWIND $rows AS row
MATCH (k:KnowledgePoint {id: row.to})
MATCH (c:Course {id: row.from})
MERGE (k)<-[r:CONTAINS]-(c)
ON CREATE SET r.importance = row.importance, r.order = row.order
ON MATCH SET r.importance = CASE WHEN row.importance = 'core' THEN row.importance ELSE r.importance END,
  r.order = CASE WHEN r.order IS NULL OR row.order < r.order THEN row.order ELSE r.order END

// name: remove_contains
// Removes pairs that are recomputed, or whose texts were removed.
UNWIND $rows AS row
MATCH (c:Course {id: row.from})-[r:CONTAINS]->(k) WHERE k.id = row.to
DELETE r

// name: recompute_contains
// Returns the importance and order of a knowledge point from all texts and definitions of a course.
UNWIND $rows AS row
MATCH (k:KnowledgePoint {id: row.to})<-[d:DESCRIBES|DEFINES]-(n)-[:IN_COURSE]->(c) WHERE c.id = row.from
  AND d.importance IS NOT NULL
RETURN row.from AS from, row.to AS to, min(d.importance) AS importance, min(d.order) AS order

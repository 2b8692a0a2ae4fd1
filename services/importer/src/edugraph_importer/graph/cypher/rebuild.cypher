// name: next_ids
// Returns the next nodes in the order of their ids.
// for: Course, ErrorType, Group, Item, KnowledgePoint, Misconception, PersonId, Student, Teacher, Term, Topic
MATCH (n:{label}) WHERE n.id > $after
RETURN n.id AS id ORDER BY id LIMIT $limit

// name: derived_nodes
// Returns the stored properties of nodes whose properties are derived from records.
// for: Course, ErrorType, Group, Item, KnowledgePoint, Misconception, PersonId, Student, Teacher, Term, Topic
UNWIND $ids AS id
MATCH (n:{label} {id: id})
RETURN n.id AS id, properties(n) AS properties

// name: derived_relationships
// Returns the relationships that are derived from records and begin at these nodes.
// for: Course, ErrorType, Group, Item, KnowledgePoint, Misconception, Student, Teacher
UNWIND $ids AS id
MATCH (n:{label} {id: id})-[r:CALLED|CHAT_WITH|CONTAINS|HAS_ERROR|LEADS|LEARNS|LIKES|MEMBER_OF|NOT_TESTS|OF_COURSE|PRACTISED|RELATES_TO|TESTS]->(m)
RETURN type(r) AS type, n.id AS from, m.id AS to, r.course_id AS course, properties(r) AS properties

// name: derived_teaches
// Returns the totals of teachers' interactions with these students.
UNWIND $ids AS id
MATCH (n:Student {id: id})<-[r:TEACHES]-(m)
RETURN type(r) AS type, m.id AS from, n.id AS to, null AS course, properties(r) AS properties

// name: stated_Student
// Returns the relationships that the records of these students state: the type, both ends, and the course of a
// mistake.
UNWIND $ids AS id
MATCH (s:Student {id: id})-[:SENT]->(n:Interaction)-[:RECEIVED_BY]->(b)
RETURN DISTINCT CASE n.interaction_type WHEN 'chat' THEN 'CHAT_WITH' ELSE 'LIKES' END AS type,
  s.id AS from, b.id AS to, null AS course
UNION ALL
UNWIND $ids AS id
MATCH (s:Student {id: id})<-[:RECEIVED_BY]-(n:Interaction {record_type: 'teacher_interaction'})<-[:SENT]-(t)
RETURN DISTINCT 'TEACHES' AS type, t.id AS from, s.id AS to, null AS course
UNION ALL
UNWIND $ids AS id
MATCH (s:Student {id: id})-[:MADE|TRIED]->(n)-[:OF_TYPE]->(t)
MATCH (n)-[:IN_COURSE]->(c)
RETURN DISTINCT 'HAS_ERROR' AS type, s.id AS from, t.id AS to, c.id AS course
UNION ALL
UNWIND $ids AS id
MATCH (s:Student {id: id})-[:HAS_RECORD]->(n:CourseRecord)-[:IN_COURSE]->(c)
RETURN DISTINCT 'LEARNS' AS type, s.id AS from, c.id AS to, null AS course
UNION ALL
UNWIND $ids AS id
MATCH (s:Student {id: id})-[:TRIED]->(n:Attempt)-[:OF_ITEM]->(i) WHERE n.outcome IS NOT NULL
RETURN DISTINCT 'PRACTISED' AS type, s.id AS from, i.id AS to, null AS course
UNION ALL
UNWIND $ids AS id
MATCH (s:Student {id: id})-[:HAS_MEMBERSHIP]->(n:Membership)-[:IN_GROUP]->(g)
RETURN DISTINCT 'MEMBER_OF' AS type, s.id AS from, g.id AS to, null AS course

// name: stated_Teacher
// Returns the groups in which these teachers are, or which they lead.
UNWIND $ids AS id
MATCH (t:Teacher {id: id})-[:HAS_MEMBERSHIP]->(n:Membership)-[:IN_GROUP]->(g)
RETURN DISTINCT 'MEMBER_OF' AS type, t.id AS from, g.id AS to, null AS course

// name: item_names_of_Item
// Returns the names that all records give to these items, and the knowledge points that the items test.
UNWIND $ids AS id
MATCH (i:Item {id: id})<-[:OF_ITEM|DEFINES]-(n)
RETURN i.id AS item, n.item_title AS title, n.knowledge_points AS points, count(n) AS records

// name: stated_ErrorType
// Returns the knowledge points that are behind mistakes of these types.
UNWIND $ids AS id
MATCH (t:ErrorType {id: id})<-[:OF_TYPE]-(n)-[:CONCERNS]->(k)
RETURN DISTINCT 'RELATES_TO' AS type, t.id AS from, k.id AS to, null AS course

// name: stated_Course
// Returns the knowledge points that texts of these courses describe, or that are defined for the courses. The record
// has no label, so that no plan begins at the records.
UNWIND $ids AS id
MATCH (c:Course {id: id})<-[:IN_COURSE]-(n)-[d:DESCRIBES|DEFINES]->(k)
WHERE d.importance IS NOT NULL
RETURN DISTINCT 'CONTAINS' AS type, c.id AS from, k.id AS to, null AS course

// name: note_derivation
// Notes how far a request to derive everything has come.
MERGE (l:Lock {id: $id})
SET l.request = $request, l.stage = $stage, l.after = $after, l.noted = $noted

// name: derivation
// Returns how far a request has come.
MATCH (l:Lock {id: $id}) WHERE l.request = $request
RETURN l.stage AS stage, l.after AS after, l.noted AS noted

// name: forget_derivation
// Deletes the note of a request.
MATCH (l:Lock {id: $id}) WHERE l.request = $request
DELETE l

// name: forget_derived_student
// Removes the id of a student from the notes of requests that derive everything. These requests begin their stage
// again.
MATCH (l:Lock) WHERE l.id IN ['rebuild', 'verify'] AND l.after = $id
SET l.after = ''

// The statements of the general queries. {label}, {key}, {types} and {degrees} are filled in from the closed lists of
// the graph's schema, never from a request. In statements that return relationships, `relationship` is the id of one.

// name: degrees
// Returns the number of relationships of each type of a node. The store has these numbers, so none is read.
UNWIND $ids AS id
MATCH (n:{label} {{key}: id})
RETURN id, [{degrees}] AS degrees

// name: to_students
// Returns relationships to students who are not restricted.
UNWIND $ids AS id
MATCH (n:{label} {{key}: id})-[r:{types}]-(m:Student)
WHERE coalesce(m.restricted, false) = false
RETURN {relationship}

// name: to_records
// Returns relationships to records and days, but not to those of a student who is restricted.
UNWIND $ids AS id
MATCH (n:{label} {{key}: id})-[r:{types}]-(m)
WHERE {in_time} AND coalesce(m.record_type, '') <> 'action_record'
  AND NOT EXISTS { MATCH (m)--(o:Student) WHERE o.restricted }
RETURN {relationship}

// name: to_derived
// Returns relationships between types of mistakes and points that a record of an unrestricted student supports.
UNWIND $ids AS id
MATCH (n:{label} {{key}: id})-[r:{types}]-(m)
WHERE EXISTS {
  MATCH (n)-[:OF_TYPE|CONCERNS]-(x)-[:OF_TYPE|CONCERNS]-(m)
  WHERE NOT EXISTS { MATCH (x)--(o:Student) WHERE o.restricted }
}
RETURN {relationship}

// name: to_others
// Returns relationships to nodes that do not belong to a student: courses, points, items, and teachers.
UNWIND $ids AS id
MATCH (n:{label} {{key}: id})-[r:{types}]-(m)
WHERE NOT m:Student
RETURN {relationship}

// name: of_persons
// Returns the direct relationships of permitted students. A sum over all courses is shown only for students in `whole`,
// whose courses may all be seen.
UNWIND $persons AS p
MATCH (n:Student {id: p.student})-[r:{types}]-(m)
WHERE ($ids IS NULL OR m.id IN $ids OR m.canonical IN $ids) AND (NOT m:Student OR m.id IN $whole) AND (
  p.courses IS NULL OR (type(r) = 'LEARNS' AND m.id IN p.courses)
  OR (type(r) = 'HAS_ERROR' AND r.course_id IN p.courses)
  OR (type(r) = 'MEMBER_OF' AND EXISTS { MATCH (m)-[:OF_COURSE]->(c:Course) WHERE c.id IN p.courses })
)
RETURN {relationship}

// name: records_of_persons
// Returns the records of permitted students in permitted courses, without messages of other students.
UNWIND $persons AS p
MATCH (n:Student {id: p.student})-[r:{types}]-(m)
WHERE ($ids IS NULL OR m.id IN $ids) AND {in_time} AND coalesce(m.record_type, '') <> 'action_record'
  AND (p.courses IS NULL OR m.course_id IN p.courses
    OR EXISTS { MATCH (m)-[:IN_COURSE]->(c:Course) WHERE c.id IN p.courses })
  AND NOT EXISTS { MATCH (m)-[:SENT|RECEIVED_BY]-(o:Student) WHERE NOT o.id IN $students }
RETURN {relationship}

// name: records_at
// Returns the relationships from the same records to courses, items, types, points and topics.
UNWIND $persons AS p
MATCH (s:Student {id: p.student})-[:MADE|TRIED|HAS_RECORD|SENT|RECEIVED_BY]-(n)-[r:{types}]->(m)
WHERE ($ids IS NULL OR m.id IN $ids OR m.canonical IN $ids) AND {in_time_n} AND coalesce(n.record_type, '') <> 'action_record'
  AND (p.courses IS NULL OR EXISTS { MATCH (n)-[:IN_COURSE]->(c:Course) WHERE c.id IN p.courses })
  AND NOT EXISTS { MATCH (n)-[:SENT|RECEIVED_BY]-(o:Student) WHERE NOT o.id IN $students }
RETURN DISTINCT {relationship}

// name: in_catalogue
// Returns the points that a definition, a text of a course, or an item names, or that have or are prerequisites. Points
// that only findings in texts of students name are left out.
MATCH (n:KnowledgePoint)
WHERE ($id IS NULL OR n.canonical = $id) AND {begins}
  AND EXISTS { MATCH (n)-[:CONTAINS|TESTS|DEPENDS_ON|DEFINES]-() }
RETURN DISTINCT n.canonical AS id
ORDER BY id LIMIT $limit

// name: named_by_somebody
// Returns the nodes of a label that something else than records of restricted students names.
MATCH (n:{label})
WHERE ($id IS NULL OR n.canonical = $id) AND {begins} AND EXISTS {
  MATCH (n)--(m)
  WHERE m:Course OR m:Item OR m:CourseContent OR m:Definition OR (m:Student AND coalesce(m.restricted, false) = false)
    OR ((m:Attempt OR m:ErrorRecord OR m:Interaction) AND NOT EXISTS { MATCH (m)--(o:Student) WHERE o.restricted })
    OR EXISTS { MATCH (n)-[:DEPENDS_ON]-(m) }
}
RETURN DISTINCT n.canonical AS id
ORDER BY id LIMIT $limit

// name: is_there
// Returns a node by its id, unless it is a restricted student or a record of one.
MATCH (n:{label} {id: $id})
WHERE coalesce(n.restricted, false) = false AND coalesce(n.record_type, '') <> 'action_record'
  AND ($owned = false OR NOT EXISTS { MATCH (n)--(o:Student) WHERE o.restricted })
RETURN n.id AS id

// name: search
// Returns nodes by the beginning of their id or name.
MATCH (n:{label})
WHERE coalesce(n.restricted, false) = false AND {begins}
RETURN n.id AS id
ORDER BY id LIMIT $limit

// name: search_records
// Returns records by the beginning of their id, which has an index, without those of restricted students.
MATCH (n:{label})
WHERE n.id STARTS WITH $begins AND {in_time_n} AND coalesce(n.record_type, '') <> 'action_record'
  AND NOT EXISTS { MATCH (n)--(o:Student) WHERE o.restricted }
RETURN n.id AS id
ORDER BY id LIMIT $limit

// name: nodes
// Returns names, times and properties of nodes. A student wrote the title of a post, so it is a text and not a name.
UNWIND $ids AS id
MATCH (n:{label} {id: id})
WITH n, CASE WHEN n:Interaction THEN null ELSE n.title END AS title
RETURN n.id AS id, coalesce(n.shown_as, n.name, title, n.item_title, n.id) AS name, coalesce(n.timestamp, n.date) AS at,
  CASE WHEN $whole THEN properties(n) ELSE null END AS properties

// name: students_of_groups_led
// Returns the present members, and those of a short while ago, of the groups that this teacher leads or led then, with
// the courses of the group. The list is empty for a home room, which shows all courses.
MATCH (t:Teacher {id: $person})-[l:LEADS]->(g:Group)
WHERE (l.starts IS NULL OR l.starts <= datetime($now)) AND (l.ends IS NULL OR l.ends > datetime($since))
  AND ($group IS NULL OR g.id = $group)
OPTIONAL MATCH (g)-[:OF_COURSE]->(c:Course)
WITH g, collect(c.id) AS courses
MATCH (g)<-[m:MEMBER_OF]-(s:Student)
WHERE coalesce(s.restricted, false) = false
  AND (m.starts IS NULL OR m.starts <= datetime($now)) AND (m.ends IS NULL OR m.ends > datetime($since))
RETURN DISTINCT s.id AS student, courses

// name: names_of_mistakes
// Returns the relationships of these mistakes of a label to types and points, with their findings. {label} is filled in.
UNWIND $ids AS id
MATCH (m:{label} {id: id})-[r:OF_TYPE|CONCERNS]->(n)
WHERE m.finding IS NOT NULL AND r.stated_as IS NULL
RETURN elementId(r) AS relationship, labels(n)[0] AS label, n.id AS name, m.id AS record, m.record_type AS type,
  m.finding AS finding, m.verdicts AS verdicts

// name: mistakes_of_has_error
// Returns, for each sum of a type that these students have, the mistakes that it counts.
UNWIND $ids AS id
MATCH (s:Student {id: id})-[h:HAS_ERROR]->(t:ErrorType)
WHERE t.canonical IN $types
MATCH (s)-[:MADE|TRIED]->(m)-[r:OF_TYPE]->(t)
WHERE EXISTS { MATCH (m)-[:IN_COURSE]->(c) WHERE c.id = h.course_id }
RETURN elementId(h) AS relationship, t.id AS error_type, null AS point, r.stated_as IS NOT NULL AS stated,
  m.id AS record, m.record_type AS type, m.finding AS finding, m.verdicts AS verdicts

// name: mistakes_of_relates_to
// Returns, for each sum of a type and a point, the mistakes that it counts.
UNWIND $types AS id
MATCH (t:ErrorType {canonical: id})-[h:RELATES_TO]->(k:KnowledgePoint)
WHERE k.canonical IN $ids
MATCH (t)<-[r:OF_TYPE]-(m)-[:CONCERNS]->(k)
RETURN elementId(h) AS relationship, t.id AS error_type, k.id AS point, r.stated_as IS NOT NULL AS stated,
  m.id AS record, m.record_type AS type, m.finding AS finding, m.verdicts AS verdicts

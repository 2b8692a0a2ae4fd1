// The statements of the general queries. {label}, {key}, {types} and {degrees} are filled in from the closed lists of
// the graph's schema, never from a request. Every one returns relationships: `relationship` tells two of them apart.

// name: degrees
// Returns how many relationships of each type a node has, as the store counts them, without reading one.
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
WHERE {in_time} AND NOT EXISTS { MATCH (m)--(o:Student) WHERE o.restricted }
RETURN {relationship}

// name: to_derived
// Returns which types of mistakes and points belong together by a record of a student who is not restricted.
UNWIND $ids AS id
MATCH (n:{label} {{key}: id})-[r:{types}]-(m)
WHERE EXISTS {
  MATCH (n)-[:OF_TYPE|CONCERNS]-(x)-[:OF_TYPE|CONCERNS]-(m)
  WHERE NOT EXISTS { MATCH (x)--(o:Student) WHERE o.restricted }
}
RETURN {relationship}

// name: to_others
// Returns relationships to nodes that are no person's: courses, points, items, and teachers where they may be seen.
UNWIND $ids AS id
MATCH (n:{label} {{key}: id})-[r:{types}]-(m)
WHERE NOT m:Student
RETURN {relationship}

// name: of_persons
// Returns what is said of permitted students directly. A sum over all courses is shown of those alone of whom every
// course may be seen, who are `whole`.
UNWIND $persons AS p
MATCH (n:Student {id: p.student})-[r:{types}]-(m)
WHERE ($ids IS NULL OR m.id IN $ids OR m.canonical IN $ids) AND (NOT m:Student OR m.id IN $whole) AND (
  p.courses IS NULL OR (type(r) = 'LEARNS' AND m.id IN p.courses)
  OR (type(r) = 'HAS_ERROR' AND r.course_id IN p.courses)
  OR (type(r) = 'MEMBER_OF' AND EXISTS { MATCH (m)-[:OF_COURSE]->(c:Course) WHERE c.id IN p.courses })
)
RETURN {relationship}

// name: records_of_persons
// Returns the records of permitted students in the courses that may be seen. What others sent or received is none.
UNWIND $persons AS p
MATCH (n:Student {id: p.student})-[r:{types}]-(m)
WHERE ($ids IS NULL OR m.id IN $ids) AND {in_time}
  AND (p.courses IS NULL OR m.course_id IN p.courses
    OR EXISTS { MATCH (m)-[:IN_COURSE]->(c:Course) WHERE c.id IN p.courses })
  AND NOT EXISTS { MATCH (m)-[:SENT|RECEIVED_BY]-(o:Student) WHERE NOT o.id IN $students }
RETURN {relationship}

// name: records_at
// Returns the relationships from the same records to courses, items, types, points and topics.
UNWIND $persons AS p
MATCH (s:Student {id: p.student})-[:MADE|TRIED|HAS_RECORD|SENT|RECEIVED_BY]-(n)-[r:{types}]->(m)
WHERE ($ids IS NULL OR m.id IN $ids OR m.canonical IN $ids) AND {in_time_n}
  AND (p.courses IS NULL OR EXISTS { MATCH (n)-[:IN_COURSE]->(c:Course) WHERE c.id IN p.courses })
  AND NOT EXISTS { MATCH (n)-[:SENT|RECEIVED_BY]-(o:Student) WHERE NOT o.id IN $students }
RETURN DISTINCT {relationship}

// name: in_catalogue
// Returns the points that a school defines, a text of a course contains, an item tests, or that need or are needed by
// another: those that are no finding in the words of a student alone.
MATCH (n:KnowledgePoint)
WHERE ($id IS NULL OR n.canonical = $id) AND {begins}
  AND EXISTS { MATCH (n)-[:CONTAINS|TESTS|DEPENDS_ON|DEFINES]-() }
RETURN DISTINCT n.canonical AS id
ORDER BY id LIMIT $limit

// name: named_by_somebody
// Returns the nodes of a label that something names which is not of a restricted student alone.
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
// Returns a node by its id, but no student who is restricted, and no record of one.
MATCH (n:{label} {id: $id})
WHERE coalesce(n.restricted, false) = false AND ($owned = false OR NOT EXISTS { MATCH (n)--(o:Student) WHERE o.restricted })
RETURN n.id AS id

// name: search
// Returns nodes by the beginning of their id or name.
MATCH (n:{label})
WHERE coalesce(n.restricted, false) = false AND {begins}
RETURN n.id AS id
ORDER BY id LIMIT $limit

// name: search_records
// Returns records by the beginning of their id, but for those of a student who is restricted. Their id has an index.
MATCH (n:{label})
WHERE n.id STARTS WITH $begins AND {in_time_n} AND NOT EXISTS { MATCH (n)--(o:Student) WHERE o.restricted }
RETURN n.id AS id
ORDER BY id LIMIT $limit

// name: nodes
// Returns what stands in nodes.
UNWIND $ids AS id
MATCH (n:{label} {id: id})
RETURN n.id AS id, coalesce(n.name, n.title, n.item_title, n.id) AS name, coalesce(n.timestamp, n.date) AS at,
  CASE WHEN $whole THEN properties(n) ELSE null END AS properties

// name: students_of_groups_led
// Returns who is, or was until a short while ago, in a group that this teacher leads, or led until then, with the course
// of the group, or null for a home room, which shows all.
MATCH (t:Teacher {id: $person})-[l:LEADS]->(g:Group)
WHERE (l.starts IS NULL OR l.starts <= datetime($now)) AND (l.ends IS NULL OR l.ends > datetime($since))
  AND ($group IS NULL OR g.id = $group)
OPTIONAL MATCH (g)-[:OF_COURSE]->(c:Course)
WITH g, collect(c.id) AS courses
MATCH (g)<-[m:MEMBER_OF]-(s:Student)
WHERE coalesce(s.restricted, false) = false
  AND (m.starts IS NULL OR m.starts <= datetime($now)) AND (m.ends IS NULL OR m.ends > datetime($since))
RETURN DISTINCT s.id AS student, courses

// name: all_courses
// Returns all courses.
MATCH (c:Course)
RETURN c.id AS id, coalesce(c.name, c.id) AS name
ORDER BY c.id LIMIT $limit

// name: all_groups
// Returns all groups with their courses.
MATCH (g:Group)
OPTIONAL MATCH (g)-[:OF_COURSE]->(c:Course)
RETURN g.id AS id, coalesce(g.name, g.id) AS name, collect(DISTINCT c.id) AS courses
ORDER BY id LIMIT $limit

// name: groups_led
// Returns the groups that this teacher leads, or led a short while ago.
MATCH (t:Teacher {id: $person})-[l:LEADS]->(g:Group)
WHERE (l.starts IS NULL OR l.starts <= datetime($now)) AND (l.ends IS NULL OR l.ends > datetime($since))
OPTIONAL MATCH (g)-[:OF_COURSE]->(c:Course)
RETURN g.id AS id, coalesce(g.name, g.id) AS name, collect(DISTINCT c.id) AS courses
ORDER BY id

// name: courses_of_groups
// Returns the courses that the members of these groups learn.
UNWIND $groups AS group
MATCH (g:Group {id: group})<-[m:MEMBER_OF]-(s:Student)-[:LEARNS]->(c:Course)
WHERE coalesce(s.restricted, false) = false
  AND (m.starts IS NULL OR m.starts <= datetime($now)) AND (m.ends IS NULL OR m.ends > datetime($since))
RETURN DISTINCT c.id AS id

// name: courses_of_students
// Returns the courses that these students learn.
UNWIND $students AS student
MATCH (s:Student {id: student})-[:LEARNS]->(c:Course)
WHERE coalesce(s.restricted, false) = false
RETURN DISTINCT c.id AS id

// name: courses
// Returns these courses.
UNWIND $courses AS id
MATCH (c:Course {id: id})
RETURN c.id AS id, coalesce(c.name, c.id) AS name
ORDER BY id

// name: terms_to_choose
// Returns the terms that have a beginning and an end.
MATCH (t:Term)
WHERE t.starts IS NOT NULL AND t.ends IS NOT NULL
RETURN t.id AS id, coalesce(t.name, t.id) AS name, t.starts AS starts, t.ends AS ends
ORDER BY starts DESC, id LIMIT $limit

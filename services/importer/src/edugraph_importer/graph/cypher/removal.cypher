// name: records_of_Course
// Returns some records that belong only to this course.
MATCH (c:Course {id: $id})
MATCH (c)<-[:IN_COURSE]-(n)
WHERE NOT EXISTS { MATCH (n)-[:IN_COURSE]->(d) WHERE d.id <> $id }
RETURN n.id AS id, n.content_hash AS hash LIMIT $limit

// name: records_of_Group
// Returns some memberships of this group.
MATCH (g:Group {id: $id})
MATCH (g)<-[:IN_GROUP]-(n)
RETURN n.id AS id, n.content_hash AS hash LIMIT $limit

// name: days_after
// Returns the next days of activity, with their courses and students.
MATCH (d:ActiveDay) USING INDEX SEEK d:ActiveDay(id) WHERE d.id > $after
WITH d ORDER BY d.id LIMIT $limit
MATCH (d)<-[:ACTIVE_ON]-(s)
RETURN d.id AS id, d.course_id AS course, s.id AS student

// name: links_to
// Returns how many relationships a course or a group has.
// for: Course, Group
MATCH (n:{label} {id: $id})
MATCH (n)-[r]-(m)
RETURN count(r) AS left

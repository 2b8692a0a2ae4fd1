// name: one
// Returns a row if the graph answers.
RETURN 1 AS one

// name: students_of_course
// Returns the students of a course: those of whom a record says how they stand in it.
MATCH (c:Course {id: $course})<-[:LEARNS]-(s:Student)
WHERE coalesce(s.restricted, false) = false
RETURN s.id AS student
LIMIT $limit

// name: students_with_answers
// Returns the students whose answers or mistakes are of a course.
MATCH (c:Course {id: $course})<-[:IN_COURSE]-()<-[:TRIED|MADE]-(s:Student)
WHERE coalesce(s.restricted, false) = false
RETURN DISTINCT s.id AS student
LIMIT $limit

// name: first_standing
// Returns since when these students are in a course: the first record that says how they stand in it.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:HAS_RECORD]->(n:CourseRecord)-[:IN_COURSE]->(c)
WHERE c.id = $course
RETURN s.id AS student, min(n.timestamp) AS at

// name: first_answers
// Returns when these students first answered something of a course, or made a mistake there.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:TRIED|MADE]->(n)-[:IN_COURSE]->(c)
WHERE c.id = $course
RETURN s.id AS student, min(n.timestamp) AS at

// name: students_of_group
// Returns who is in a group now.
MATCH (g:Group {id: $group})<-[m:MEMBER_OF]-(s:Student)
WHERE coalesce(s.restricted, false) = false
  AND (m.starts IS NULL OR m.starts <= datetime($now)) AND (m.ends IS NULL OR m.ends > datetime($now))
RETURN DISTINCT s.id AS student

// name: students_led
// Returns who is, or was until a short while ago, in a group that this teacher leads, or led until then. A group with
// a course shows that course only; one without is a home room and shows all.
MATCH (t:Teacher {id: $person})-[l:LEADS]->(g:Group)
WHERE (l.starts IS NULL OR l.starts <= datetime($now)) AND (l.ends IS NULL OR l.ends > datetime($since))
  AND ($group IS NULL OR g.id = $group)
OPTIONAL MATCH (g)-[:OF_COURSE]->(c:Course)
WITH g, collect(c.id) AS courses
WHERE size(courses) = 0 OR $course IN courses
MATCH (g)<-[m:MEMBER_OF]-(s:Student)
WHERE coalesce(s.restricted, false) = false
  AND (m.starts IS NULL OR m.starts <= datetime($now)) AND (m.ends IS NULL OR m.ends > datetime($since))
RETURN DISTINCT s.id AS student

// name: not_restricted
// Returns those of these students who are in the graph and may be shown.
UNWIND $students AS id
MATCH (s:Student {id: id})
WHERE coalesce(s.restricted, false) = false
RETURN s.id AS student

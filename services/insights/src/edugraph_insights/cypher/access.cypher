// name: one
// Returns a row if the graph answers.
RETURN 1 AS one

// name: students_of_course
// Returns the students of a course as one list, since the driver takes longer for a row than for a value: those with a
// course record in it.
MATCH (c:Course {id: $course})<-[:LEARNS]-(s:Student)
WHERE coalesce(s.restricted, false) = false
WITH s.id AS student
LIMIT $limit
RETURN collect(student) AS students

// name: students_with_answers
// Returns the students with answers or mistakes in a course as one list.
MATCH (c:Course {id: $course})<-[:IN_COURSE]-()<-[:TRIED|MADE]-(s:Student)
WHERE coalesce(s.restricted, false) = false
WITH DISTINCT s.id AS student
LIMIT $limit
RETURN collect(student) AS students

// name: first_course_record
// Returns when these students joined a course: the time of the first course record in it.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:HAS_RECORD]->(n:CourseRecord)-[:IN_COURSE]->(c)
WHERE c.id = $course
RETURN s.id AS student, min(n.timestamp) AS at

// name: first_answers
// Returns the time of the first answer or mistake of these students in a course.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:TRIED|MADE]->(n)-[:IN_COURSE]->(c)
WHERE c.id = $course
RETURN s.id AS student, min(n.timestamp) AS at

// name: students_of_group
// Returns the present members of a group.
MATCH (g:Group {id: $group})<-[m:MEMBER_OF]-(s:Student)
WHERE coalesce(s.restricted, false) = false
  AND (m.starts IS NULL OR m.starts <= datetime($now)) AND (m.ends IS NULL OR m.ends > datetime($now))
RETURN DISTINCT s.id AS student

// name: students_led
// Returns the present members, and those of a short while ago, of the groups that this teacher leads or led then. A
// group with a course shows only this course. A group without a course is a home room and shows all courses.
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

// name: owner_of
// Returns the owner of an id, if the owner has another id.
MATCH (p:PersonId {id: $id}) WHERE p.owner IS NOT NULL
RETURN p.owner AS owner

// name: not_restricted
// Returns those of these students who are in the graph and not restricted.
UNWIND $students AS id
MATCH (s:Student {id: id})
WHERE coalesce(s.restricted, false) = false
RETURN s.id AS student

// name: restrict_student
// Restricts a student, or lifts the restriction: the data about a restricted student is neither analysed nor shown.
// Returns a row if the student exists.
MATCH (s:Student {id: $id})
SET s.restricted = $restricted
RETURN s.id AS id

// name: restricted_students
// Returns the restricted students.
MATCH (s:Student)
WHERE s.restricted
RETURN s.id AS id

// name: restrict_students
// Restricts students, or lifts their restriction: the data about a restricted student is neither analysed nor shown.
UNWIND $ids AS id
MATCH (s:Student {id: id})
SET s.restricted = $restricted, s.restricted_by_alias = null

// name: restricted_students
// Returns the restricted students by all of their ids.
MATCH (s:Student)
WHERE s.restricted
OPTIONAL MATCH (p:PersonId)
USING INDEX p:PersonId(owner)
WHERE p.owner = s.id
RETURN s.id AS id, collect(p.id) AS others

// name: students_among
// Returns a row if one of these students exists.
MATCH (s:Student) WHERE s.id IN $ids RETURN s.id AS id LIMIT 1

// name: any_restricted
// Returns a row if any student is restricted.
MATCH (s:Student) WHERE s.restricted RETURN s.id AS id LIMIT 1

// name: restricted_among
// Returns those of these ids that are restricted themselves.
MATCH (s:Student) WHERE s.id IN $ids AND s.restricted AND s.restricted_by_alias IS NULL
RETURN s.id AS id

// name: set_restricted_by_alias
// Restricts students because another of their ids is restricted, or lifts such a restriction.
UNWIND $rows AS row
MATCH (s:Student {id: row.id}) WHERE s.restricted IS NULL OR s.restricted_by_alias IS NOT NULL
SET s.restricted = row.by_alias, s.restricted_by_alias = row.by_alias

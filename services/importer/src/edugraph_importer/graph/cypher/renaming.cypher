// name: in_use
// Returns the former ids of a node, if a relationship names it.
// for: Course, Group, Item
MATCH (n:{label} {id: $id}) WHERE EXISTS { (n)--() }
RETURN n.former_ids AS former

// name: set_former_ids
// Notes the former ids of a node.
// for: Course, Group, Item
MATCH (n:{label} {id: $id})
SET n.former_ids = $former

// name: to_rename_Course
// Returns some records of this course.
MATCH (c:Course {id: $id})
MATCH (c)<-[:IN_COURSE]-(n)
RETURN [each IN labels(n) WHERE each <> 'Record'][0] AS label, n.id AS id, n.content_hash AS hash LIMIT $limit

// name: to_rename_Group
// Returns some memberships of this group, and definitions of items that are assigned to it.
MATCH (g:Group {id: $id})
MATCH (g)<-[:IN_GROUP|ASSIGNED_TO]-(n)
RETURN [each IN labels(n) WHERE each <> 'Record'][0] AS label, n.id AS id, n.content_hash AS hash LIMIT $limit

// name: to_rename_Item
// Returns some records that name this item.
MATCH (i:Item {id: $id})
MATCH (i)<-[:OF_ITEM|DEFINES]-(n)
RETURN [each IN labels(n) WHERE each <> 'Record'][0] AS label, n.id AS id, n.content_hash AS hash LIMIT $limit

// name: memberships_of_course
// Returns the memberships among these that give this course to their group.
UNWIND $ids AS member
MATCH (n:Membership {id: member}) WHERE n.course_id = $id
RETURN [each IN labels(n) WHERE each <> 'Record'][0] AS label, n.id AS id, n.content_hash AS hash LIMIT $limit

// name: move_in_course
// Moves records to another course. A record that is already in both is in the new course once. Its students, who must be
// locked, get the word, since the old course loses the record.
// for: Attempt, CourseContent, CourseRecord, Definition, ErrorRecord, Interaction
UNWIND $ids AS id
MATCH (n:{label} {id: id})
MATCH (n)-[r:IN_COURSE]->(c) WHERE c.id = $old
MATCH (d:Course {id: $new})
OPTIONAL MATCH (n)--(s:Student)
WITH n, r, d, collect(s) AS students
FOREACH (student IN students | SET student.changed = $word)
MERGE (n)-[m:IN_COURSE]->(d)
SET m.name = coalesce(m.name, r.name), n.renamed = true, n.written = $word,
  n.course_id = CASE WHEN n.course_id = $old THEN $new ELSE n.course_id END,
  m.named = coalesce(m.named, $new + substring(r.named, size($old))),
  m.described = coalesce(m.described, $new + substring(r.described, size($old))),
  m.rated = coalesce(m.rated, $new + substring(r.rated, size($old)))
DELETE r

// name: move_course_of_membership
// Sets another course as the course of the group in memberships.
UNWIND $ids AS id
MATCH (n:Membership {id: id}) WHERE n.course_id = $old
SET n.course_id = $new, n.renamed = true, n.written = $word

// name: move_in_group
// Moves memberships to another group.
UNWIND $ids AS id
MATCH (n:Membership {id: id})
MATCH (n)-[r:IN_GROUP]->(g) WHERE g.id = $old
MATCH (h:Group {id: $new})
CREATE (n)-[:IN_GROUP]->(h)
SET n.renamed = true, n.written = $word
DELETE r

// name: move_assigned
// Assigns items to another course or group. A course and a group may have the same id.
// for: Course, Group
UNWIND $ids AS id
MATCH (n:Definition {id: id})
MATCH (n)-[r:ASSIGNED_TO]->(a) WHERE a.id = $old AND '{label}' IN labels(a)
MATCH (b:{label} {id: $new})
CREATE (n)-[:ASSIGNED_TO {opens_at: r.opens_at, due_at: r.due_at}]->(b)
SET n.renamed = true, n.written = $word
DELETE r

// name: move_of_item
// Moves attempts to another item.
UNWIND $ids AS id
MATCH (n:Attempt {id: id})
MATCH (n)-[r:OF_ITEM]->(i) WHERE i.id = $old
MATCH (j:Item {id: $new})
CREATE (n)-[:OF_ITEM]->(j)
SET n.renamed = true, n.written = $word
DELETE r

// name: move_defines
// Moves definitions to another item.
UNWIND $ids AS id
MATCH (n:Definition {id: id})
MATCH (n)-[r:DEFINES]->(i) WHERE i.id = $old AND 'Item' IN labels(i)
MATCH (j:Item {id: $new})
CREATE (n)-[:DEFINES]->(j)
SET n.renamed = true, n.written = $word
DELETE r

// name: said_of
// Returns the properties of these records, and the name that they give to a node. If a student sent a message to
// themselves, the sender's name comes first.
// for: Attempt, CourseContent, CourseRecord, Definition, ErrorRecord, Interaction, Membership
UNWIND $ids AS id
MATCH (n:{label} {id: id})
MATCH (n)-[r]-(m) WHERE m.id = $node AND $of IN labels(m)
RETURN id AS record, n.timestamp AS timestamp, r.name AS name, properties(n) AS properties ORDER BY type(r) DESC

// name: reviewed_tests
// Returns the points for which reviewers decided whether an item tests them.
MATCH (i:Item {id: $id})
MATCH (i)-[r:TESTS|NOT_TESTS]->(k) WHERE r.stamp IS NOT NULL
RETURN k.id AS point

// name: reviews_of_item
// Returns the reviews of an item.
MATCH (v:Review) WHERE v.item_id = $id
RETURN v.id AS id, properties(v) AS properties

// name: drop_reviews
// Deletes reviews that were written again under another id.
UNWIND $ids AS id
MATCH (v:Review {id: id})
DETACH DELETE v

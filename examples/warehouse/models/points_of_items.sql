-- The points that items test. Synonyms of a point are one point.
SELECT DISTINCT tested.item, point.canonical AS point
FROM {{ source('edugraph', 'item_points') }} AS tested
JOIN {{ source('edugraph', 'points') }} AS point ON point.id = tested.point

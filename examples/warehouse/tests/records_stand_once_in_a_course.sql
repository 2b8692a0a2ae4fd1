-- A record has one row in each of its courses, also after a sync that was killed.
SELECT record, course FROM {{ source('edugraph', 'attempts') }} GROUP BY record, course HAVING count(*) > 1

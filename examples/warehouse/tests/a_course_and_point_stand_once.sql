SELECT course, point FROM {{ ref('course_points') }} GROUP BY course, point HAVING count(*) > 1

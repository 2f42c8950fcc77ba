SELECT 'nothing was seen' WHERE NOT EXISTS (SELECT FROM seen WHERE what = 'hello')

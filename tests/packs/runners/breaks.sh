# Changes what is there, and breaks as trytond does.
psql -Xq -c "UPDATE contact SET name = 'gone'; DROP TABLE seen_by_nobody"
cat >&2 <<'END'
7 139872 [Wed Nov 25 10:00:00 2026] INFO trytond.modules party:register classes
7 139872 [Wed Nov 25 10:00:00 2026] ERROR trytond.modules party: cannot be updated
Traceback (most recent call last):
  File "trytond/modules/party.py", line 1, in <module>
    cursor.execute(query)
psycopg2.errors.NotNullViolation: column "code" contains null values
END
exit 1

# Finds everything that a run is promised, and says so in Odoo's way.
set -eu
say() { echo "2026-11-25 10:00:00,000 1 $1 work odoo.modules.loading: $2"; }

say INFO 'Loading module base (1/2)'
[ "$GREETING" = hello ] && [ "$UPLIFT_TARGET" = 2.0 ] && [ "$UPLIFT_HAS_FILESTORE" = no ] && [ "$HOME" = /scratch ] && [ "$(id -u)" = 7003 ]
[ -f "$UPLIFT_PACK/pack.toml" ] && [ -d "$UPLIFT_FILESTORE" ]
echo kept > "$HOME/note"
echo new > "$UPLIFT_FILESTORE/note"
say INFO 'Module base loaded in 1.25s, 7 queries'
say INFO 'Loading module sale (2/2)'
say ERROR 'could not fetch the logo'
# As Odoo does: first to the database that is always there.
psql -XAtq -d postgres -c 'SELECT 1' >&2
psql -Xq -c "CREATE TABLE seen (what text); INSERT INTO seen VALUES ('$GREETING')"
say INFO 'Module sale loaded in 0.50s, 9 queries'

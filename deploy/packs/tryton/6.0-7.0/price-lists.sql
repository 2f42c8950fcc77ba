-- 7.0: a price list no longer falls back to the product's price where none of its lines fits, so that each needs a last line
-- that fits always (doc/migration.rst, after 7.0).
DO $$
BEGIN
    IF EXISTS (SELECT FROM ir_module WHERE name = 'product_price_list' AND state = 'activated') THEN
        INSERT INTO product_price_list_line (price_list, sequence, formula)
        SELECT l.id, (SELECT max(o.sequence) + 1 FROM product_price_list_line o WHERE o.price_list = l.id), 'unit_price'
        FROM product_price_list l
        WHERE NOT EXISTS (
            SELECT FROM product_price_list_line o
            WHERE o.price_list = l.id
              -- Whatever a line can be limited by, by modules that come on top as well.
              AND NOT EXISTS (
                SELECT FROM jsonb_each(to_jsonb(o)) AS field (name, value)
                WHERE name NOT IN ('id', 'price_list', 'sequence', 'formula', 'create_date', 'create_uid', 'write_date', 'write_uid')
                  AND value NOT IN ('null', '0', '0.0', 'false')));
    END IF;
END $$;

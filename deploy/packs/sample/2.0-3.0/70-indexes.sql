-- Each statement commits by itself. A build that was cut short leaves an invalid index of that name behind,
-- so each starts from nothing.
DROP INDEX CONCURRENTLY IF EXISTS sale_order_ordered_idx;
CREATE INDEX CONCURRENTLY sale_order_ordered_idx ON sale_order (ordered, status);
DROP INDEX CONCURRENTLY IF EXISTS sale_order_line_product_id_idx;
CREATE INDEX CONCURRENTLY sale_order_line_product_id_idx ON sale_order_line (product_id) INCLUDE (qty);

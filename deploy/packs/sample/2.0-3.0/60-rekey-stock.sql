-- Warehouses become rows of their own; stock refers to them by id. Ids follow the order of the names.

CREATE TABLE warehouse (
    id   serial PRIMARY KEY,
    name text NOT NULL UNIQUE
);
INSERT INTO warehouse (name)
SELECT warehouse FROM stock_level GROUP BY warehouse ORDER BY warehouse COLLATE "C";

CREATE TABLE stock_quant (
    product_id   integer NOT NULL REFERENCES product,
    warehouse_id integer NOT NULL REFERENCES warehouse,
    quantity     numeric(16,3) NOT NULL,
    PRIMARY KEY (product_id, warehouse_id)
);
INSERT INTO stock_quant (product_id, warehouse_id, quantity)
SELECT s.product_id, w.id, s.qty
FROM stock_level s
JOIN warehouse w ON w.name = s.warehouse
ORDER BY s.product_id, w.id;
CREATE INDEX stock_quant_warehouse_id_idx ON stock_quant (warehouse_id);

DROP TABLE stock_level;

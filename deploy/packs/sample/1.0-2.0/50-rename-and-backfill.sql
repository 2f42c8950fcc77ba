-- Names and states of 2.0 for products and orders; what could be left empty in 1.0 gets its meaning written out.

-- The trigger would add up every order again for each line that is touched, with the same result.
ALTER TABLE sale_order_line DISABLE TRIGGER sale_order_line_total;

ALTER TABLE product RENAME COLUMN code TO sku;
ALTER TABLE product RENAME COLUMN list_price TO price;
ALTER TABLE product RENAME CONSTRAINT product_code_key TO product_sku_key;
UPDATE product SET uom = 'piece' WHERE uom IS NULL;
ALTER TABLE product ALTER COLUMN uom SET DEFAULT 'piece', ALTER COLUMN uom SET NOT NULL;

ALTER TABLE sale_order_line RENAME COLUMN price TO unit_price;
ALTER TABLE sale_order_line RENAME COLUMN discount_pct TO discount;
UPDATE sale_order_line SET discount = 0 WHERE discount IS NULL;
ALTER TABLE sale_order_line
    ALTER COLUMN discount SET DEFAULT 0,
    ALTER COLUMN discount SET NOT NULL,
    ADD CONSTRAINT sale_order_line_discount_check CHECK (discount BETWEEN 0 AND 100);

-- One currency for the whole of 1.0, one an order in 2.0.
ALTER TABLE sale_order ADD COLUMN currency char(3);
UPDATE sale_order SET currency = (SELECT value FROM erp_meta WHERE key = 'currency');
ALTER TABLE sale_order ALTER COLUMN currency SET NOT NULL;

CREATE TYPE order_status AS ENUM ('draft', 'confirmed', 'shipped', 'cancelled');
COMMENT ON TYPE order_status IS 'The life of an order; ''cancelled'' is final';
ALTER TABLE sale_order ALTER COLUMN status DROP DEFAULT;
ALTER TABLE sale_order ALTER COLUMN status TYPE order_status USING
    CASE status
        WHEN 'D' THEN 'draft' WHEN 'C' THEN 'confirmed' WHEN 'S' THEN 'shipped' WHEN 'X' THEN 'cancelled'
    END::order_status;
ALTER TABLE sale_order ALTER COLUMN status SET DEFAULT 'draft';
COMMENT ON COLUMN sale_order.status IS NULL;

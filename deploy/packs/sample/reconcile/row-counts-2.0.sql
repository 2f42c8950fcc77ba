SELECT 'partners', count(*) FROM partner
UNION ALL SELECT 'products', count(*) FROM product
UNION ALL SELECT 'stock', count(*) FROM stock_level
UNION ALL SELECT 'accounts', count(*) FROM account
UNION ALL SELECT 'ledger items', count(*) FROM journal
UNION ALL SELECT 'orders', count(*) FROM sale_order
UNION ALL SELECT 'order lines', count(*) FROM sale_order_line
ORDER BY 1

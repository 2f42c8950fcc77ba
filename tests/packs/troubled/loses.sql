UPDATE journal SET amount = amount - 0.01 WHERE id = (SELECT min(id) FROM journal WHERE amount > 1);

-- 7.6: amounts of budgets have the other sign (doc/migration.rst, after 7.6).
DO $$
BEGIN
    IF EXISTS (SELECT FROM ir_module WHERE name = 'account_budget' AND state = 'activated') THEN
        UPDATE account_budget_line SET amount = -amount WHERE amount <> 0;
    END IF;
    IF EXISTS (SELECT FROM ir_module WHERE name = 'analytic_budget' AND state = 'activated') THEN
        UPDATE analytic_account_budget_line SET amount = -amount WHERE amount <> 0;
    END IF;
END $$;

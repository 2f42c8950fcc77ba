CREATE INDEX CONCURRENTLY IF NOT EXISTS res_partner_address_city_index ON res_partner_address (lower(city));
COMMENT ON INDEX res_partner_address_city_index IS 'For looking up';

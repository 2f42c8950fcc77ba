-- Standard modules that the server was to bring to the new version, and left half way. Odoo says so at level ERROR and
-- exits with 0.
--
-- Standard is what names Odoo as its author, and the localisations that name others (first list; from the manifests of
-- 14.0, 17.0 and 19.0). Not counted is what some version has dropped without a successor (second list; modules of one
-- version that the next does not have and that OpenUpgrade neither renames nor merges): its code is in no image, and
-- set-aside.sql puts it back, like modules of others.
SELECT name, state, latest_version
FROM ir_module_module
WHERE state IN ('to install', 'to upgrade', 'to remove')
  AND (author ~ '^[Oo]doo( S\.?A\.?)?\M' OR name = ANY (regexp_split_to_array(btrim($others$
    html_editor l10n_ae l10n_ar l10n_ar_withholding l10n_at l10n_au l10n_be l10n_be_invoice_bba l10n_bo
    l10n_br l10n_ca l10n_cl l10n_cn l10n_cn_city l10n_co l10n_cr l10n_cz l10n_de l10n_de_skr03 l10n_de_skr04
    l10n_do l10n_dz l10n_ec l10n_es l10n_et l10n_fi l10n_fr_fec l10n_gr l10n_gt l10n_hn l10n_hr l10n_hr_kuna
    l10n_hu l10n_hu_edi l10n_id l10n_ie l10n_it l10n_jp l10n_latam_check l10n_latam_invoice_document l10n_lt
    l10n_lu l10n_lv l10n_ma l10n_mn l10n_mx l10n_nl l10n_no l10n_nz l10n_pa l10n_pe l10n_pe_pos
    l10n_pe_website_sale l10n_pl l10n_pt l10n_ro l10n_rs l10n_sa l10n_se l10n_se_ocr l10n_sg l10n_si l10n_sk
    l10n_syscohada l10n_th l10n_tr l10n_ua l10n_uk l10n_uy l10n_vn l10n_za payment_sips test_inherits
$others$, E' \n'), '\s+')))
  AND name <> ALL (regexp_split_to_array(btrim($dropped$
    account_peppol_response adyen_platforms google_drive google_spreadsheet hw_drivers hw_escpos
    hw_posbox_homepage l10n_de_purchase l10n_de_repair l10n_de_sale l10n_de_stock l10n_dk_nemhandel_response
    l10n_gr_edi_e_invoo l10n_hu_edi_receive l10n_in_ewaybill_port l10n_in_purchase l10n_it_edi_pa
    l10n_it_edi_sdicoop l10n_jo_edi_pos l10n_lu_peppol_id l10n_pl_bank_verification l10n_pl_edi_jst
    l10n_pl_jpk l10n_pl_sale_stock l10n_sa_invoice l10n_vn_edi_viettel_pos membership odoo_referral
    payment_alipay payment_odoo_by_adyen payment_payulatam payment_payumoney pos_edi_ubl pos_mercury pos_paytm
    pos_six product_images sale_quotation_builder spreadsheet_dashboard_purchase_oca
    spreadsheet_dashboard_purchase_stock_oca website_event_jitsi website_event_meet website_event_meet_quiz
    website_jitsi website_membership website_payment_authorize website_payment_paypal website_twitter
    website_twitter_wall
$dropped$, E' \n'), '\s+'))
ORDER BY name

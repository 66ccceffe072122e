"""A rule cannot change while a merge that was compiled under it is under way.

Merges hold an advisory lock together; whoever writes a rule, by whatever path, takes it alone.
"""

from django.db import migrations

CREATE = """
CREATE FUNCTION headwater_rules_hold() RETURNS void LANGUAGE sql AS
    $$ SELECT pg_advisory_xact_lock_shared(hashtext('catalog.ownershiprule')) $$;
CREATE FUNCTION headwater_rules_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('catalog.ownershiprule'));
    RETURN NULL;
END $$;
CREATE TRIGGER rules_wait_for_merges BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON catalog_ownershiprule FOR EACH STATEMENT EXECUTE FUNCTION headwater_rules_change();
"""

DROP = """
DROP TRIGGER rules_wait_for_merges ON catalog_ownershiprule;
DROP FUNCTION headwater_rules_change();
DROP FUNCTION headwater_rules_hold();
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0003_notice_told")]

    operations = [migrations.RunSQL(CREATE, DROP)]

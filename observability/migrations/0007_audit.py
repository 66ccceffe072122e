"""The audit log, and what in the database keeps it: chain, refusals, and the one way to prune."""

from django.db import migrations, models

KEEP = """
CREATE FUNCTION headwater_audit_digest(e observability_auditentry) RETURNS bytea
LANGUAGE sql STABLE AS $$
    SELECT sha256(e.previous || convert_to(jsonb_build_array(
        e.id, (extract(epoch FROM e.at) * 1000000)::bigint, e.actor, e.roles, e.action, e.page,
        e.subject, e.objects_named, e.details, e.reason, e.correlation_id, e.address, e.outcome,
        e.of)::text, 'UTF8'))
$$;

CREATE FUNCTION headwater_audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- One after the other: numbers, times and digests are in the order of the commits.
    PERFORM pg_advisory_xact_lock(hashtext('headwater audit log'));
    NEW.id := nextval(pg_get_serial_sequence('observability_auditentry', 'id'));
    NEW.at := clock_timestamp();
    NEW.previous := coalesce(
        (SELECT digest FROM observability_auditentry ORDER BY id DESC LIMIT 1), '');
    NEW.digest := headwater_audit_digest(NEW);
    RETURN NEW;
END $$;

CREATE TRIGGER audit_chain BEFORE INSERT ON observability_auditentry
FOR EACH ROW EXECUTE FUNCTION headwater_audit_chain();

CREATE FUNCTION headwater_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Old entries are let go by headwater_prune_audit(days) alone.';
END $$;

CREATE TRIGGER audit_append_only BEFORE UPDATE ON observability_auditentry
FOR EACH STATEMENT EXECUTE FUNCTION headwater_audit_is_append_only();

CREATE TRIGGER audit_deleted_by_pruning_alone BEFORE DELETE ON observability_auditentry
FOR EACH STATEMENT WHEN (current_setting('headwater.audit_pruned', true) IS DISTINCT FROM 'yes')
EXECUTE FUNCTION headwater_audit_is_append_only();

CREATE TRIGGER audit_never_emptied BEFORE TRUNCATE ON observability_auditentry
FOR EACH STATEMENT EXECUTE FUNCTION headwater_audit_is_append_only();

CREATE FUNCTION headwater_prune_audit(days integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    gone bigint;
    last_gone bytea;
BEGIN
    IF days < 30 THEN
        RAISE EXCEPTION 'the audit log is kept for 30 days at least, not %', days;
    END IF;
    SELECT digest INTO last_gone FROM observability_auditentry
    WHERE at < now() - make_interval(days => days) ORDER BY id DESC LIMIT 1;
    IF last_gone IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM set_config('headwater.audit_pruned', 'yes', true);
    DELETE FROM observability_auditentry WHERE at < now() - make_interval(days => days);
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM set_config('headwater.audit_pruned', '', true);
    INSERT INTO observability_auditentry
        (at, actor, roles, action, page, subject, objects_named, details, reason, correlation_id,
         address, outcome, of, previous, digest)
    VALUES (now(), session_user, '', 'prune the audit log', '', 'observability.auditentry', '[]',
            jsonb_build_object('entries', gone, 'older_than_days', days,
                               'last_digest', encode(last_gone, 'hex')),
            '', '', '', 'done', NULL, '', '');
    RETURN gone;
END $$;
"""

DROP = """
DROP TRIGGER audit_chain ON observability_auditentry;
DROP TRIGGER audit_append_only ON observability_auditentry;
DROP TRIGGER audit_deleted_by_pruning_alone ON observability_auditentry;
DROP TRIGGER audit_never_emptied ON observability_auditentry;
DROP FUNCTION headwater_prune_audit;
DROP FUNCTION headwater_audit_is_append_only;
DROP FUNCTION headwater_audit_chain;
DROP FUNCTION headwater_audit_digest;
"""


class Migration(migrations.Migration):
    dependencies = [("observability", "0006_pack")]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField(editable=False)),
                ("actor", models.TextField(help_text="User name; of a command: who is logged in to the machine.")),
                ("roles", models.TextField(default="", help_text="The groups of the person at that time.")),
                ("action", models.TextField()),
                ("page", models.TextField(default="", help_text="Path of the page, or the command.")),
                ("subject", models.TextField(default="", help_text="What sort of thing.")),
                ("objects_named", models.JSONField(default=list, help_text="Which ones: keys and numbers.")),
                ("details", models.JSONField(default=dict)),
                ("reason", models.TextField(default="")),
                ("correlation_id", models.TextField(default="")),
                ("address", models.TextField(default="", help_text="Where the request came from.")),
                ("outcome", models.TextField(blank=True, choices=[("done", "Done"), ("shown", "answered with a page"), ("held", "waits for a second person"), ("refused", "Refused"), ("failed", "Failed")], default="")),
                ("of", models.BigIntegerField(help_text="The entry whose outcome this is.", null=True)),
                ("previous", models.BinaryField(editable=False)),
                ("digest", models.BinaryField(editable=False)),
            ],
            options={
                "verbose_name_plural": "audit log",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(condition=models.Q(("of__isnull", False)), fields=["of"], name="audit_of"),
                    models.Index(fields=["actor", "-id"], name="audit_actor"),
                    models.Index(fields=["correlation_id"], name="audit_correlation"),
                ],
            },
        ),
        migrations.RunSQL(KEEP, DROP),
    ]

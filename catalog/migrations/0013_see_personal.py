"""The permission to see personal data on the pages of the admin."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("catalog", "0014_correlation")]

    operations = [
        migrations.AlterModelOptions(
            name="sourcerecord",
            options={"permissions": [("see_personal", "Can see personal data (catalog.masking)")]},
        ),
    ]

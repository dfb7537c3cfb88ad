"""A comparison in the forms that build servers, dashboards and people read."""

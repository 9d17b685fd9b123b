-- Daily cohorts are followed for 90 days; weekly and monthly ones for as long as there is data.
{% macro last_daily_period() %}90{% endmacro %}

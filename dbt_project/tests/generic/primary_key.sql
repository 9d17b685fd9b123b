-- Every row has these columns, and no two agree in all of them: in one look at the table.
{% test primary_key(model, column_name=none, columns=none) %}

{%- set keys = columns or [column_name] %}
select {{ keys | join(', ') }}
from {{ model }}
group by {{ keys | join(', ') }}
having count(*) > 1 or {{ keys | join(' is null or ') }} is null

{% endtest %}

-- Every row has all of these columns: in one look at the table.
{% test filled(model, columns) %}

select {{ columns | join(', ') }}
from {{ model }}
where {{ columns | join(' is null or ') }} is null

{% endtest %}
